"""Answers in a report: scores, intervals, the figure, and what it says without lineages."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest

from mmdet_multigrain.evaluation.functional.answer_metrics import score_matches
from mmdet_multigrain.report.runs import figures
from mmdet_multigrain.report.runs.answers import compare_answers
from mmdet_multigrain.report.runs.comparison import compare
from mmdet_multigrain.report.runs.diagnostic_sections import answer_section
from mmdet_multigrain.report.runs.document import Command
from mmdet_multigrain.report.runs.load import load_runs
from mmdet_multigrain.report.runs.names import shorten_variants
from mmdet_multigrain.report.runs.render import render_markdown
from mmdet_multigrain.report.runs.report import runs_document
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.visualization import style

from .made_runs import write_ground_truth, write_run, write_runs
from .test_deep_and_partial_runs import DEEP

FEW = dict(resamples=30, workers=1)


def add_lineages(folder, levels=2):
    path = folder / 'result.bbox.json'
    content = json.loads(path.read_text())
    rng = np.random.default_rng(len(folder.name))
    for item in content:
        item['lineage'] = np.sort(rng.random(levels)).tolist()
    path.write_text(json.dumps(content))
    return folder


def edit_run(folder, **entries):
    path = folder / 'result.json'
    content = json.loads(path.read_text())
    content['run'].update(entries)
    path.write_text(json.dumps(content))


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    """Two seeds of three variants; those called merged have no lineages."""
    folders = write_runs(tmp_path_factory.mktemp('runs'))
    for folder in folders:
        command = f'tools/test.py {folder.name}'
        edit_run(folder, command=command + ' --tta' * folder.name.endswith('merged_seed1'))
        if 'merged' not in folder.name:
            add_lineages(folder)
    return shorten_variants(load_runs(folders))


@pytest.fixture(scope='module')
def answers(runs):
    return compare_answers(runs, compare(runs, **FEW))


def test_scores_are_those_of_each_run(runs, answers):
    assert answers.comparison.baseline == 'baseline' and answers.levels == {
        0: 'class',
        1: 'superclass',
    }
    assert answers.min_score == min(run.detections.scores.min() for run in runs)
    for variant in answers.comparison.variants:
        for number, matched in enumerate(answers.matched[variant.name]):
            expected = score_matches(matched, np.ones((24, 1)))
            for key, values in expected.items():
                assert variant.scores[key].values[number] == pytest.approx(values[0])
    keys = ['wrong_0', 'wrong_1', 'within_1', 'hP', 'hR', 'hF1', 'area', 'ece_0', 'ece_1']
    assert [metric.key for metric in answers.comparison.metrics] == keys
    assert list(answers.with_lineages) == ['baseline', 'wgroup']
    assert np.isnan(answers.comparison.variant('merged').scores['area'].mean)


def test_differences_have_intervals_of_the_same_resamples(runs, answers):
    gains = answers.comparison.variant('wgroup').gains
    for key in ('wrong_0', 'wrong_1', 'hF1', 'area', 'ece_1'):
        assert gains[key].interval.value == pytest.approx(gains[key].value)
        assert gains[key].has_ends and not gains[key].interval.over_seeds
    assert gains['wrong_0'].value < -0.2 and gains['wrong_0'].interval.high < 0
    photos = [
        len({*one.photos[one.wrong[:, 0]].tolist()})
        for own in answers.matched.values()
        for one in own
    ]
    assert gains['within_1'].interval.num_images == min(photos)
    assert gains['wrong_0'].interval.num_images > 20
    assert answers.comparison.variant('merged').gains['area'].interval is None
    again = compare_answers(runs, compare(runs, **FEW), seed=0)
    other = compare_answers(runs, compare(runs, **FEW), seed=1)
    low, same, different = (
        one.comparison.variant('wgroup').gains['area'].interval.low
        for one in (answers, again, other)
    )
    assert low == same != different


def test_without_a_bootstrap(runs):
    found = compare_answers(runs, compare(runs, resamples=0))
    assert all(gain.interval is None for gain in found.comparison.variant('wgroup').gains.values())


def test_nothing_to_show(tmp_path):
    flat = Taxonomy('flat', ['a', 'b'])
    truth = write_ground_truth(tmp_path / 'val.json', taxonomy=flat)
    one = {'wrong': 0.3, 'seed': 0, 'config': 'c.py', 'taxonomy': flat}
    runs = load_runs([write_run(tmp_path / 'flat', truth, **one)])
    assert compare_answers(runs, compare(runs, **FEW)) is None
    runs = load_runs(write_runs(tmp_path / 'runs', seeds=(0,)))
    gone = [dataclasses.replace(run, detections_file=None) for run in runs]
    assert compare_answers(gone, compare(gone, **FEW)) is None
    elsewhere = runs[0].detections_file.detections
    elsewhere = dataclasses.replace(elsewhere, boxes=elsewhere.boxes + 1e4)
    file = dataclasses.replace(runs[0].detections_file)
    file.__dict__['detections'] = elsewhere
    lost = [dataclasses.replace(runs[0], detections_file=file)]
    assert compare_answers(lost, compare(runs[:1], **FEW)) is None
    assert answer_section(lost, None) is None


def test_a_baseline_without_detections(runs):
    some = [
        dataclasses.replace(run, detections_file=None) if run.variant == 'baseline' else run
        for run in runs
    ]
    found = compare_answers(some, compare(some, **FEW))
    assert found.comparison.baseline == 'wgroup' and list(found.matched) == ['wgroup', 'merged']


def test_section(runs, answers):
    comparison = compare(runs, **FEW)
    document = runs_document(runs, comparison, [], answers)
    names = [section.name for section in document.sections]
    assert names[names.index('errors') + 1] == 'answers'
    part = document.sections[names.index('answers')]
    assert [getattr(block, 'name', None) for block in part.blocks] == [
        *('answers', 'answers', 'answer_gains'), None, None,
    ]  # fmt: skip
    text = render_markdown(dataclasses.replace(document, sections=[part]))
    for words in ('from 0.2', 'Curves: if', 'Without them: merged.', '± standard deviation'):
        assert words in text, words
    assert re.search(
        r'\| Area under accuracy over specificity \| (\d\d\.\d\d ± [^|]+\| ){2}- \|', text
    )
    assert re.search(r'gain in \| wgroup \| merged \|', text)
    assert '−' in text and '95% interval over photos only' in text
    assert part.blocks[-1] == Command('python tools/test.py merged_seed0 --lineages')
    assert 'answer_gains_all' in document.data
    alone = [run for run in runs if run.variant == 'wgroup']
    one = compare_answers(alone, compare(alone, **FEW))
    assert [block.name for block in answer_section(alone, one).blocks] == ['answers', 'answers']


def test_figure(answers):
    with style.drawing() as figure:
        figures.answers(figure, answers)
        bars, curves = figure.axes
        widths = np.array([bar.get_width() for bar in bars.patches]).reshape(3, 3)
        assert widths.sum(axis=1) == pytest.approx(100)
        for row, runs in zip(widths, answers.matched.values(), strict=True):
            wrong = np.concatenate([run.wrong for run in runs])
            assert row[1:] == pytest.approx(
                [100 * (wrong[:, 0] & ~wrong[:, 1]).mean(), 100 * wrong[:, 1].mean()]
            )
        texts = [one.get_text() for one in bars.get_legend().get_texts()]
        assert texts == ['right class', 'only the right superclass', 'wrong superclass']
        assert len(curves.lines) == 2 * 3
        first, *marks = curves.lines[3:]  # of wgroup
        ends = [mark.get_xydata()[0] for mark in marks]
        assert first.get_xydata()[0] == pytest.approx(ends[0])  # always the class
        assert first.get_xydata()[-1] == pytest.approx([0, 1])
        assert 0 < ends[1][0] < 1 and ends[1][1] >= ends[0][1]
    none = dataclasses.replace(answers, matched={'merged': answers.matched['merged']})
    with style.drawing() as figure:
        figures.answers(figure, none)
        assert len(figure.axes) == 1


def test_three_levels(tmp_path):
    truth = write_ground_truth(tmp_path / 'val.json', taxonomy=DEEP)
    one = {'wrong': 0.9, 'seed': 0, 'config': 'c.py', 'taxonomy': DEEP}
    runs = load_runs([add_lineages(write_run(tmp_path / 'deep', truth, **one), 3)])
    found = compare_answers(runs, compare(runs, **FEW))
    assert found.levels == {0: 'class', 1: 'group of level 1', 2: 'group of level 0'}
    titles = {one.key: one.title for one in found.comparison.metrics}
    assert titles['within_1'] == 'of the wrong classes, in the right group of level 1'
    assert titles['ece_2'] == 'calibration error, group of level 0'
    with style.drawing() as figure:
        figures.answers(figure, found)
        assert len(figure.axes[0].patches) == 4
        shades = {bar.get_facecolor() for bar in figure.axes[0].patches}
        assert len(shades) == 4


def test_of_several_trees_the_main_one_counts(tmp_path, two_trees):
    taxonomy = two_trees.with_main_tree('season')
    truth = write_ground_truth(tmp_path / 'val.json', taxonomy=taxonomy)
    one = {'wrong': 0.6, 'seed': 0, 'config': 'c.py', 'taxonomy': taxonomy}
    runs = load_runs([add_lineages(write_run(tmp_path / 'run', truth, **one))])
    found = compare_answers(runs, compare(runs, resamples=0))
    assert found.levels == {0: 'class', 1: 'superclass'} and list(found.with_lineages) == ['c']
    (matched,) = found.matched['c']
    assert matched.taxonomy == two_trees.tree('season')
