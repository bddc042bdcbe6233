"""The report: text for people, JSON for scripts."""

from collections import Counter
from pathlib import Path

from mmdet_multigrain.checks import report
from mmdet_multigrain.checks.boxes import corners
from mmdet_multigrain.checks.data import CocoData
from mmdet_multigrain.checks.dataset import Checked
from mmdet_multigrain.checks.finding import Check, Finding
from mmdet_multigrain.checks.fix import Fixed
from mmdet_multigrain.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load(
    {'name': 'garments', 'groups': {'top': ['vest', 'coat'], 'low': ['skirt']}}
)
EMPTY = Check('error', 'bbox-empty', 'boxes without width', 'remove them', fixable=True)
LEAK = Check('error', 'leak', 'photos in both', 'remove them from one')
CASE = Check('warning', 'case', 'names in two cases', 'rename one')
ALONE = Check('note', 'alone', 'groups of one class', 'nothing')


def checked(*findings, splits=('train', 'val')):
    files = tuple(
        CocoData(
            {'images': [{}] * 1200, 'annotations': [], 'categories': [{}]},
            path=Path(f'{split}.json'),
            split=split,
        )
        for split in splits
    )
    return Checked(files, TAXONOMY, findings)


def test_text():
    text = report.as_text(
        checked(
            Finding(EMPTY, 'train', 1200, ('annotation 1 ' + 'x' * 60, 'annotation 2')),
            Finding(ALONE, '', 1, ("'low'",)),
        )
    )
    assert text.splitlines() == [
        'train: train.json: 1,200 images, 0 boxes, 1 categories',
        'val:   val.json: 1,200 images, 0 boxes, 1 categories',
        'taxonomy: garments, 3 classes in 2 superclasses',
        '',
        'error       1,200  train: boxes without width (bbox-empty)',
        '                   annotation 1 ' + 'x' * 60,
        '                   annotation 2',
        '                   and 1,198 more',
        '                   -> remove them (--fix does)',
        '',
        'note            1  groups of one class (alone)',
        "                   'low'",
        '                   -> nothing',
        '',
        'verdict: 1 kind of error: do not train on it yet (--fix OUT fixes 1 of them)',
    ]


def test_paths_in_advice_stay_whole():
    path = f'/data/my-photos/{"very-long-name-" * 8}/train-set.json'
    advice = Check('warning', 'parent', 'annotated parents', f'make_taxonomy.py {path} --coarse')
    lines = report.as_text(checked(Finding(advice, '', 1, ('top',)))).splitlines()
    assert sum(path in line for line in lines) == 1


def test_verdicts():
    error, warning, note = (Finding(check, '', 1, ()) for check in (LEAK, CASE, ALONE))
    for findings, word, line in (
        ((), 'clean', 'clean'),
        ((note,), 'clean', 'clean'),
        ((warning, note), 'warnings', '1 kind of warning: usable; look at the warnings'),
        (
            (error, error, warning),
            'errors',
            '2 kinds of error and 1 kind of warning: do not train on it yet',
        ),
    ):
        assert report.verdict(checked(*findings)) == word
        assert report.verdict_line(checked(*findings)) == line


def test_no_repair_is_offered_for_another_layout():
    line = report.verdict_line(checked(Finding(EMPTY, '', 1, ()), Finding(corners, '', 1, ())))
    assert line == '2 kinds of error: do not train on it yet'


def test_json():
    result = report.as_dict(checked(Finding(EMPTY, '', 7, ('annotation 1',)), splits=('',)))
    assert result == {
        'schema_version': 1,
        'verdict': 'errors',
        'files': [
            {
                'split': '',
                'file': '.json',
                'counts': {
                    'images': 1200,
                    'annotations': 0,
                    'counted_annotations': 0,
                    'categories': 1,
                },
            }
        ],
        'findings': [
            {
                'kind': 'bbox-empty',
                'severity': 'error',
                'split': '',
                'count': 7,
                'title': 'boxes without width',
                'examples': ['annotation 1'],
                'fix': 'remove them',
                'fixable': True,
            }
        ],
    }


def test_what_was_fixed():
    fixed = Fixed({}, Counter({('removed', 'boxes without width'): 1200}), removed=3)
    assert report.fixed_text('out.json', fixed) == (
        'out.json: written\n  removed       1,200  boxes without width'
    )
    assert report.fixed_dict('out.json', fixed) == {
        'file': 'out.json',
        'removed_boxes': 3,
        'done': [{'what': 'removed', 'to': 'boxes without width', 'count': 1200}],
    }
    assert 'nothing to fix' in report.fixed_text('out.json', Fixed({}, Counter()))


def test_what_is_left():
    left = report.left_text(checked(Finding(LEAK, '', 2, ()), Finding(ALONE, '', 1, ())))
    assert left.splitlines() == [
        'left in the repaired copy:',
        'error           2  photos in both (leak)',
        '',
        'verdict on the repaired copy: 1 kind of error: do not train on it yet',
    ]
    assert report.left_text(checked()) == 'verdict on the repaired copy: clean'
    copies = [Fixed({}, Counter(), 2, 9), Fixed({}, Counter({('recomputed', 'x'): 1}), 0, 5)]
    assert report.left_text(checked(), [*copies, Fixed({}, Counter())]) == (
        'verdict on the repaired copy: clean; of 9 boxes, 2 removed; of 5 boxes, 1 recomputed'
    )


def test_the_groups_of_each_tree(two_trees):
    of_trees = Checked(checked().files, two_trees, ())
    line = 'taxonomy: two trees, 5 classes in 2 of kind, 3 of season'
    assert line in report.as_text(of_trees).splitlines()
