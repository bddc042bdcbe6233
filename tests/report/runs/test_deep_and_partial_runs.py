"""Runs with two coarse levels, with a seed whose detections are gone, with few detections."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mmdet_multigrain.report.runs.comparison import compare
from mmdet_multigrain.report.runs.diagnostics import diagnose_variants
from mmdet_multigrain.report.runs.load import load_runs
from mmdet_multigrain.report.runs.measures import images_with_boxes, measures_of_runs
from mmdet_multigrain.report.runs.render import render_markdown
from mmdet_multigrain.report.runs.report import runs_document
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ReportError

from .made_runs import write_ground_truth, write_run, write_runs

DEEP = Taxonomy.load(
    {
        'name': 'deep',
        'groups': {
            'body': {'upper': ['shirt', 'vest'], 'lower': ['skirt', 'shorts']},
            'head': ['hat'],
        },
    }
)
FEW = dict(resamples=20, workers=1)


@pytest.fixture(scope='module')
def deep(tmp_path_factory):
    """Two seeds of two variants, of which the second is better."""
    root = tmp_path_factory.mktemp('deep')
    truth = write_ground_truth(root / 'val.json', taxonomy=DEEP)
    return load_runs(
        [
            write_run(
                root / f'{name}{seed}', truth, wrong=wrong, seed=seed, config=f'{name}.py',
                taxonomy=DEEP,
            )
            for name, wrong in (('baseline', 0.6), ('wgroup', 0.1))
            for seed in (0, 1)
        ]
    )  # fmt: skip


def test_every_level_has_its_own_numbers(deep):
    comparison = compare(deep, **FEW)
    keys = [metric.key for metric in comparison.metrics]
    assert 'superclass_AP' not in keys
    assert [key for key in keys if key.startswith('level')] == ['level_0_AP', 'level_1_AP']
    assert [[entry.name for entry in level] for level in comparison.superclasses] == [
        list(DEEP.group_names(level)) for level in (0, 1)
    ]
    base, new = comparison.variant('baseline'), comparison.variant('wgroup')
    for variant, runs in ((base, deep[:2]), (new, deep[2:])):
        for level in (0, 1):
            scores = [run.result.summary.levels[level] for run in runs]
            expected = tuple(one.coco['AP'] for one in scores)
            assert variant.scores[f'level_{level}_AP'].values == expected
            for place, name in enumerate(DEEP.group_names(level)):
                values = tuple(one.classes[place].ap for one in scores)
                assert variant.scores[f'level {level}:{name}'].values == values
    assert base.scores['level_0_AP'].mean > base.scores['level_1_AP'].mean > base.scores['AP'].mean
    for key in ('level_0_AP', 'level_1_AP', 'level 0:body', 'level 1:upper', 'class:hat', 'all'):
        gain = new.gains[key]
        assert gain.value == pytest.approx(new.scores[key].mean - base.scores[key].mean)
        assert gain.interval.value == pytest.approx(gain.value, abs=1e-9), key


def test_images_with_boxes_of_each_group(deep):
    truth = deep[0].ground_truth
    counts = images_with_boxes(truth, measures_of_runs(deep), DEEP)

    def images_of(*names):
        labels = [DEEP.classes.index(name) for name in names]
        return len({*truth.images[np.isin(truth.labels, labels)].tolist()})

    assert counts['level 0:body'] == images_of('shirt', 'vest', 'skirt', 'shorts')
    assert counts['level 1:upper'] == images_of('shirt', 'vest')
    assert counts['level 1:lower'] == images_of('skirt', 'shorts')
    assert counts['level 0:head'] == counts['class:hat'] == images_of('hat')
    assert counts['AP'] == counts['level_1_AP'] == counts['all'] == 24
    assert len({counts[key] for key in ('level 0:body', 'level 1:upper', 'level 1:lower')}) == 3


def test_the_report_shows_both_levels(deep):
    text = render_markdown(runs_document(deep, compare(deep, **FEW), diagnose_variants(deep)))
    for words in ('level 0 AP', 'level 1 AP', 'body / upper'):
        assert words in text
    assert 'superclass AP' not in text


@pytest.mark.parametrize('gone', [0, 1])
def test_one_seed_without_detections(tmp_path, gone):
    """Its variant keeps its numbers without intervals; the others keep theirs."""
    folders = write_runs(tmp_path)
    (folders[gone] / 'result.bbox.json').unlink()
    runs = load_runs(folders)
    comparison = compare(runs, **FEW)
    assert comparison.baseline == 'baseline_r18_made' and comparison.resamples == 20
    new, other = comparison.variant('wgroup_r18_made'), comparison.variant('merged_r18_made')
    assert len(new.scores['AP'].values) == 2 and new.gains['AP'].value > 0.1
    assert all(gain.interval is None for gain in new.gains.values())
    assert other.gains['AP'].interval is not None
    text = render_markdown(runs_document(runs, comparison, diagnose_variants(runs)))
    assert f'{folders[gone]}' in text and 'not found' in text


def test_without_detections_of_the_baseline_there_is_no_interval(tmp_path):
    folders = write_runs(tmp_path)
    (folders[3] / 'result.bbox.json').unlink()
    comparison = compare(load_runs(folders), **FEW)
    assert comparison.resamples == 0
    for name in ('wgroup_r18_made', 'merged_r18_made'):
        assert all(one.interval is None for one in comparison.variant(name).gains.values())


def test_another_limit_on_detections_counts_everywhere(tmp_path):
    """With one detection per image and class, hits on second boxes of a class are lost."""
    truth = write_ground_truth(tmp_path / 'val.json')
    content = json.loads(truth.read_text())
    for item in content['annotations']:
        item['category_id'] = 1 + item['image_id'] % 3  # both boxes of an image are of one class
    truth.write_text(json.dumps(content))
    specs = []
    for name, wrong in (('baseline', 0.3), ('wgroup', 0.0)):
        folder = write_run(tmp_path / name, truth, wrong=wrong, seed=0, config=f'{name}.py')
        specs.append(f'{name}={folder}/result.bbox.json:{truth}')
    one, all_ = load_runs(specs, max_dets=1), load_runs(specs)
    for few, many in zip(one, all_, strict=True):
        assert few.result.summary.max_dets == 1
        # One of two boxes: recall ends at one half, 51 of 101 thresholds.
        assert few.result.summary.fine.coco['AP50'] <= 51 / 101 + 1e-9
        assert many.result.summary.fine.coco['AP50'] > 0.6
    perfect = one[1].result.summary.fine.coco
    assert perfect['AP50'] == pytest.approx(51 / 101)
    assert 'AR1' in perfect and 'AR100' not in perfect
    # The bootstrap and the errors of detections find the same numbers, else they raise.
    comparison = compare(one, **FEW)
    gain = comparison.variant('wgroup').gains['AP50']
    assert gain.interval.value == pytest.approx(gain.value, abs=1e-9)
    found = diagnose_variants(one)
    assert [part.ap50 for part in found] == pytest.approx(
        [run.result.summary.fine.coco['AP50'] for run in one]
    )


def test_several_trees(tmp_path, two_trees):
    truth = write_ground_truth(tmp_path / 'val.json', taxonomy=two_trees)
    folders = []
    for name, wrong in (('baseline', 0.6), ('wgroup', 0.1)):
        options = dict(wrong=wrong, seed=0, config=f'{name}.py', taxonomy=two_trees)
        folders.append(write_run(tmp_path / name, truth, **options))
    runs = load_runs(folders)
    comparison = compare(runs, **FEW)
    assert comparison.trees == ('kind', 'kind', 'season')
    titles = [one.title for one in comparison.metrics if one.key.startswith('level')]
    assert titles == ['level 0 AP (kind)', 'level 1 AP (kind)', 'level 2 AP (season)']
    assert comparison.variant('wgroup').gains['level 2:winter'].value > 0
    text = render_markdown(runs_document(runs, comparison, diagnose_variants(runs)))
    assert 'AP by superclass, level 2 (season)' in text and 'body / upper / summer' in text
    moved = two_trees.with_main_tree('season')
    other = write_run(
        tmp_path / 'merged', truth, wrong=0.1, seed=0, config='merged.py', taxonomy=moved
    )
    with pytest.raises(ReportError, match='grouped in another way'):
        load_runs([*folders, other])
