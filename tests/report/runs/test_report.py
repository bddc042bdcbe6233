"""The report on runs: what stands in it, and what it says where data is missing."""

import dataclasses
import json
import re

import pytest

from mmdet_multigrain.report.runs.comparison import compare
from mmdet_multigrain.report.runs.diagnostics import diagnose_variants
from mmdet_multigrain.report.runs.document import FigureBlock, TableBlock
from mmdet_multigrain.report.runs.load import load_runs
from mmdet_multigrain.report.runs.names import shorten_variants
from mmdet_multigrain.report.runs.paper import load_paper
from mmdet_multigrain.report.runs.render import render_markdown
from mmdet_multigrain.report.runs.report import match_paper, paper_document, runs_document
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ReportError

from .made_runs import TAXONOMY, write_ground_truth, write_run, write_runs


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    return shorten_variants(load_runs(write_runs(tmp_path_factory.mktemp('runs'))))


@pytest.fixture(scope='module')
def document(runs):
    return runs_document(runs, compare(runs, resamples=40, workers=1), diagnose_variants(runs))


def named(document, name):
    return next(
        block
        for section in document.sections
        for block in section.blocks
        if getattr(block, 'name', None) == name
    )


@pytest.mark.parametrize(
    ('dataset', 'difference', 'means'),
    [
        (
            'df2',
            '+2.00',
            {
                'All 13 classes': '+2.28',
                'Rarest 3 of 13 (30%, rounded down)': '+3.65',
                "Rarest 9 of 13 (the paper's choice)": '+2.55',
            },
        ),
        (
            'oiv4c',
            '+1.62',
            {'All 30 classes': '+2.49', 'Rarest 9 of 30 (30%, rounded down)': '+4.59'},
        ),
    ],
)
def test_the_paper_alone(dataset, difference, means):
    """Golden: the gains of its method (the last column), each under its definition."""
    text = render_markdown(paper_document(load_paper(dataset)))
    summary, _, rest = text.partition('## Overall')
    first, second = rest.split('**Gains over baseline: mean of the per-class gains**')
    assert re.search(rf'(?m)^\| AP \| .* \| {re.escape(difference)} \|$', first)
    for what, value in means.items():
        assert re.search(rf'(?m)^\| {re.escape(what)} \| .* \| {re.escape(value)} \|$', second)
        assert value in summary
    assert re.search(rf'(?m)^\| wgroup \| 1 .* {re.escape(difference)} \|', summary)
    assert 'interval' not in text.replace('without intervals', '')  # the paper has none
    place = {'df2': ('table 1', 'table 3'), 'oiv4c': ('table 2', 'table 4')}[dataset]
    for title, where in (
        ("COCO's numbers", place[0]),
        ('AP by class', place[1]),
        ('Gain per class', 'figure 4'),
    ):
        assert f"**{title} (the paper's {where})**" in text


def test_sections(document, runs):
    assert [section.name for section in document.sections] == [
        'summary',
        'runs',
        'overall',
        'gains',
        'classes',
        'errors',
        'confusion',
        'calibration',
        'reading',
    ]
    assert document.title == 'Report: baseline, wgroup, merged'  # the baseline first
    assert document.detail.startswith('6 runs on 24 images with 48 boxes of 5 classes;')
    assert [row[0] for row in named(document, 'overall').table.rows] == [
        'baseline',
        'wgroup',
        'merged',
    ]
    rows = named(document, 'classes').table.rows
    assert [row[0] for row in rows[:-1]] == [
        name for _, name in sorted(zip((40, 10, 30, 50, 20), TAXONOMY.classes, strict=True))
    ]
    assert [row[0] for row in named(document, 'runs').table.rows[:2]] == ['baseline'] * 2
    assert {'scores', 'gains_all', 'errors_all'} == set(document.data)


def test_best_and_baseline_have_confusion_matrices(document):
    assert named(document, 'confusion_baseline').title == 'Confusion matrix of baseline'
    assert named(document, 'confusion_best').title == 'Confusion matrix of wgroup'
    text = render_markdown(document)
    # Two seeds: nothing is marked, and every caption says what its intervals are over.
    assert re.search(r'(?m)^\| merged \| 2 \|.* [+−][\d.]+ \\\[[+−].* noise', text)
    assert '°' not in text
    assert 'over photos only' in named(document, 'summary').note
    for name in ('gains_difference', 'gains_mean', 'class_gains', 'gain_per_class'):
        assert '95% interval over photos only: fewer than 3 seeds' in named(
            document, name
        ).note.replace(';', ':')
    for name in ('gains_difference', 'gains_mean', 'class_gains'):
        note = named(document, name).note
        assert 'by chance alone' in note and re.search(
            r'80% power, in .*wgroup [\d.]+ over photos only', note
        )


def test_five_seeds_are_marked_against_seeds_and_photos(tmp_path):
    """With Holm's rule, how many chance would give, and what these runs could have shown."""
    runs = shorten_variants(load_runs(write_runs(tmp_path, seeds=range(5))))
    document = runs_document(runs, compare(runs, resamples=40), [])
    text = render_markdown(document)
    # The baseline is as bad as `merged`: their difference is marked.
    assert re.search(r'(?m)^\| merged \| 5 \| .* [+−][\d.]+° \\\[.* \| may be noise \|$', text)
    assert re.search(r'(?m)^\| wgroup \| 5 \| .* \*\*\+[\d.]+ \\\[\+.* \| higher \|$', text)
    assert 'over photos only' not in text
    for name in ('gains_difference', 'gains_mean', 'class_gains'):
        note = named(document, name).note
        assert '95% interval over seeds and photos. °' in note
        assert "(p above 0.05 by Holm's rule for 2 variants)" in note and 'by chance alone' in note
        assert re.search(r'Detectable with 80% power, in .*: wgroup [\d.]+ \([\d.]+ on these', note)
    note = named(document, 'gain_per_class').note
    assert 'over seeds and photos; pale bars may be noise (p above 0.05 by Holm' in note
    # Five classes with an interval.
    assert 'Of 5 rows with an interval, about 0.3 ' in named(document, 'class_gains').note


def test_a_doubt_comes_before_any_number(runs):
    doubted = [dataclasses.replace(runs[-1], doubt='its boxes look like corners')]
    document = runs_document([*runs[:-1], *doubted], compare(runs, resamples=0), [])
    text = render_markdown(document)
    assert text.count('**Doubt about merged') == 1
    assert 0 < text.index('its boxes look like corners.') < text.index('| AP')


def test_captions_of_some_variants_over_photos_only(tmp_path):
    paths = write_runs(tmp_path, seeds=(0, 1, 2))
    runs = shorten_variants(load_runs(paths[:-1]))  # two seeds of the last variant
    document = runs_document(runs, compare(runs, resamples=40), [])
    for name in ('gains_difference', 'gains_mean', 'class_gains', 'gain_per_class'):
        note = named(document, name).note
        assert 'over seeds and photos' in note and 'p above 0.05)' in note
        assert 'over photos only (merged)' in note
    assert 'fewer than 3 seeds the variance between them is not known' in render_markdown(document)


def test_the_document_is_the_same_again(document, runs):
    again = runs_document(runs, compare(runs, resamples=40, workers=2), diagnose_variants(runs))
    assert again == document


def test_one_variant_gains_nothing(runs):
    alone = [run for run in runs if run.variant == 'wgroup']
    document = runs_document(alone, compare(alone, resamples=9), diagnose_variants(alone))
    assert 'Name runs of another one' in render_markdown(document)
    assert 'gains_all' not in document.data
    with pytest.raises(StopIteration):
        named(document, 'gain_per_class')


def test_missing_detections_name_the_command(tmp_path):
    truth = write_ground_truth(tmp_path / 'val.json')
    folders = [
        write_run(
            tmp_path / name,
            truth,
            wrong=0.3,
            seed=1,
            config=f'my configs/{name}.py',
            detections=name != 'b',
        )
        for name in ('a', 'b')
    ]
    runs = load_runs(folders)
    comparison = compare(runs)
    text = render_markdown(runs_document(runs, comparison, diagnose_variants(runs)))
    assert comparison.resamples == 0 and 'resamples' not in text
    assert (
        f"    python tools/test.py 'my configs/b.py' iter_9.pth --out {folders[1]}/result.json"
        in text
    )
    for command, more in (
        (
            "tools/test.py b.py iter_9.pth --cfg-options 'a=my b'",
            f' --out {folders[1]}/result.json',
        ),
        ('tools/test.py b.py iter_9.pth --out=b.json --max-dets 7', ''),
    ):
        record = dataclasses.replace(runs[1].result.run, command=command)
        result = dataclasses.replace(runs[1].result, run=record)
        again = [runs[0], dataclasses.replace(runs[1], result=result)]
        text = render_markdown(runs_document(again, comparison, diagnose_variants(again)))
        assert f'    python {command}{more}\n' in text
    truth.unlink()
    runs = load_runs(folders)
    text = render_markdown(runs_document(runs, compare(runs), diagnose_variants(runs)))
    assert text.count('name the file with --ann-file') == 2


def test_scores_that_are_no_probabilities(runs):
    """Errors are shown all the same; the report says why calibration is not."""
    run = runs[0]
    file = run.detections_file
    scores = dataclasses.replace(file.detections, scores=5 * file.detections.scores)
    odd = dataclasses.replace(run, detections_file=dataclasses.replace(file))
    odd.detections_file.__dict__['detections'] = scores
    document = runs_document([odd], compare([odd]), diagnose_variants([odd]))
    assert 'calibration' not in [section.name for section in document.sections]
    assert 'calibration needs probabilities' in render_markdown(document)
    assert named(document, 'errors')


def test_the_papers_numbers_beside(tmp_path):
    taxonomy = Taxonomy.load(
        {'groups': {'top': ['vest', 'sling'], 'bottom': ['skirt', 'shorts']}, 'ungrouped': ['hat']}
    )
    truth = write_ground_truth(tmp_path / 'val.json', taxonomy=taxonomy)
    runs = load_runs(
        [write_run(tmp_path / 'run', truth, wrong=0.3, seed=1, config='c.py', taxonomy=taxonomy)]
    )
    document = runs_document(
        runs, compare(runs, resamples=0), diagnose_variants(runs), paper=load_paper('df2')
    )
    vest = next(row for row in named(document, 'classes').table.rows if row[0] == 'vest')
    assert [cell.value for cell in vest[4:]] == pytest.approx([66.93, 67.47, 68.68, 68.28])
    assert 'paper' in [section.name for section in document.sections]
    text = render_markdown(document)
    # These are other data: no table or figure of the paper has the same.
    assert not re.search("the paper's (table|figure|choice)", text) and 'quite the mean' not in text
    with pytest.raises(ReportError, match='f: none of its classes is one of oiv4c'):
        match_paper(load_paper('oiv4c'), Taxonomy('t', ['car', 'bus']), source='f')


def test_runs_without_any_detection_are_named(tmp_path):
    truth = write_ground_truth(tmp_path / 'val.json')
    (tmp_path / 'none.json').write_text('[]')
    runs = load_runs(
        [
            write_run(tmp_path / 'a', truth, wrong=0.1, seed=0, config='a.py'),
            f'silent={tmp_path}/none.json:{truth}',
        ]
    )
    text = render_markdown(runs_document(runs, compare(runs, resamples=0), []))
    assert '- **Without any detection**: silent\n' in text


def test_the_paper_is_named_only_where_it_is_asked_for(document):
    assert 'paper' not in render_markdown(document)


def test_the_papers_gains_are_below_ours(tmp_path):
    taxonomy = Taxonomy.load('deepfashion2')
    truth = write_ground_truth(tmp_path / 'val.json', taxonomy=taxonomy)
    runs = load_runs(
        [
            write_run(
                tmp_path / name, truth, wrong=0.3, seed=1, config=f'{name}.py', taxonomy=taxonomy
            )
            for name in ('a', 'b')
        ]
    )
    comparison = compare(runs, resamples=0)
    table = named(runs_document(runs, comparison, [], paper=load_paper('df2')), 'summary').table
    assert [row[0] for row in table.rows] == ['a', 'b', "the paper's wgroup"] and table.rules == (
        2,
    )
    last = dict(zip((column.key for column in table.columns), table.rows[-1], strict=True))
    values = [last[key].value for key in ('AP', 'gain', 'all', 'rarest_3')]
    assert values == pytest.approx([69.02, 2.00, 2.278, 3.647], abs=1e-3)
    assert last['runs'] is None


def test_notes_say_only_what_is_so(document, runs):
    names = ('runs', 'overall', 'confusions', 'errors_by_class')
    notes = {name: named(document, name).note for name in names}
    assert notes['errors_by_class'].endswith('bold. Other variants: tables/errors_all.csv.')
    last = document.sections[-1].blocks[0].items[-1][1]
    assert 'all numbers in scores.csv, gains_all.csv, errors_all.csv;' in last
    assert 'count as seeds of one training' in notes['runs'] and 'Summed' in notes['confusions']
    assert 'Highest in bold' in notes['overall'] and 'mean ± standard' in notes['overall']
    alone = [run for run in runs if run.variant == 'wgroup'][:1]
    document = runs_document(alone, compare(alone, resamples=9), diagnose_variants(alone))
    notes = {name: named(document, name).note for name in notes}
    assert notes['runs'] == '' and 'bold' not in notes['overall'] and '±' not in notes['overall']
    assert 'Summed' not in notes['confusions'] and notes['errors_by_class'].endswith('in bold.')
    last = document.sections[-1].blocks[0].items[-1][1]
    assert 'all numbers in scores.csv, errors_all.csv;' in last
    assert named(document, 'summary').note == 'Protocol: leaf. In percent.'


def test_options_of_a_test_are_shown(tmp_path):
    """A run with --tta is another variant, and the table of runs says how it was made."""
    truth = write_ground_truth(tmp_path / 'val.json')
    folders = [
        write_run(tmp_path / name, truth, wrong=0.3, seed=1, config='ours.py') for name in 'ab'
    ]
    path = folders[1] / 'result.json'
    content = json.loads(path.read_text())
    content['run']['options'] = '--tta model.test_cfg.rcnn.score_thr=0.1'
    path.write_text(json.dumps(content))
    runs = shorten_variants(load_runs(folders))
    assert [run.variant for run in runs] == ['ours', 'ours (TTA)']
    table = named(runs_document(runs, compare(runs, resamples=0), []), 'runs').table
    assert [column.title for column in table.columns][-3] == 'options of the test'
    assert [row[-3] for row in table.rows] == ['', '--tta model.test_cfg.rcnn.score_thr=0.1']
    plain = runs_document(runs[:1], compare(runs[:1]), [])
    assert 'options' not in [column.key for column in named(plain, 'runs').table.columns]


def test_every_table_and_figure_has_its_protocol(document, runs):
    blocks = [block for part in document.sections for block in part.blocks]
    blocks = [block for block in blocks if isinstance(block, (TableBlock, FigureBlock))]
    found = {block.name: block.note.partition('. ')[0].rstrip('.') for block in blocks}
    assert found.pop('runs') != 'Protocol: leaf'
    assert found.pop('superclasses') == 'Protocol: superclass'
    assert len(found) > 5 and {*found.values()} == {'Protocol: leaf'}
    terms = dict(document.sections[-1].blocks[0].items)
    assert 'nothing suppressed' in terms['Protocol superclass'] and 'Protocol leaf' in terms

    def at_a_level(run):
        summary = dataclasses.replace(run.result.summary, protocol='group (coarse, sum)')
        return dataclasses.replace(run, result=dataclasses.replace(run.result, summary=summary))

    alone = [at_a_level(run) for run in runs if run.variant == 'wgroup'][:1]
    text = named(runs_document(alone, compare(alone, resamples=9), []), 'overall').note
    assert text.startswith('Protocol: group (coarse, sum). ')


def test_whose_training_boxes_decide_which_classes_are_rare(tmp_path):
    truth = write_ground_truth(tmp_path / 'val.json')
    folders = [
        write_run(tmp_path / name, truth, wrong=0.2, seed=0, config=f'{name}.py', detections=False)
        for name in ('one', 'two')
    ]
    one, two = load_runs(folders)
    fine = two.result.summary.fine
    rows = tuple(
        dataclasses.replace(row, train_boxes=100 - row.train_boxes) for row in fine.classes
    )
    levels = *two.result.summary.levels[:-1], dataclasses.replace(fine, classes=rows)
    summary = dataclasses.replace(two.result.summary, levels=levels)
    half = dataclasses.replace(two.result, summary=summary, train_ann_file='half.json')
    other = dataclasses.replace(two, result=half)

    def rare_by(*runs):
        text = render_markdown(runs_document(runs, compare(runs), []))
        return re.search(r'Rare and frequent classes\*\*: (.*)', text)[1]

    assert re.fullmatch('by boxes of the training file: .*train.json', rare_by(one, two))
    assert rare_by(one, other).endswith('train.json, not by those of two, which differ')
    assert rare_by(other, one).endswith(': half.json, not by those of one, which differ')
