"""Suggested groups and what is told with them."""

from __future__ import annotations

import numpy as np
import pytest

from mmdet_multigrain.report.groups.figure import suggested_groups
from mmdet_multigrain.report.groups.sources import Confusions, Vectors
from mmdet_multigrain.report.groups.suggestion import suggest
from mmdet_multigrain.taxonomy import Taxonomy, TaxonomyError
from mmdet_multigrain.utils.errors import ReportError
from mmdet_multigrain.visualization import style

CLASSES = 'shirt', 'jeans', 'coat', 'skirt', 'boot', 'sandal', 'hat'
OWN = Taxonomy(
    'own',
    CLASSES,
    [('top',), ('low',), ('top',), ('low',), ('foot',), ('foot',), ()],
    aliases={'hat': ['cap'], 'top': ['upper']},
)
BOXES = [900, 30, 20, 10, 800, 700, 5]


def found(scale=3, boxes=BOXES):
    """Tops are taken for tops, the lower ones for each other, both halves alike; never the hat."""
    half = np.zeros((7, 7), int)
    for left, right in ((0, 2), (1, 3), (4, 5)):
        half[left, right] = scale
        half[right, left] = scale - 1
    half[1, 4] = 1
    return Confusions(OWN, (half, half), boxes, ())


def vectors(classes=CLASSES):
    axes = {'shirt': 0, 'coat': 0, 'jeans': 1, 'skirt': 1, 'boot': 2, 'sandal': 2}
    rows = [np.eye(3)[axes[name]] if name in axes else np.zeros(3) for name in classes]
    return Vectors(Taxonomy('mine', classes), np.array(rows) + 0)


def test_groups_of_confusions():
    made = suggest(found())
    assert made.taxonomy.to_dict() == {
        'name': 'own (3 groups)',
        'groups': {
            'like shirt': ['shirt', 'coat'],
            'like jeans': ['jeans', 'skirt'],
            'like boot': ['boot', 'sandal'],
        },
        'ungrouped': ['hat'],
        'classes': list(CLASSES),
        'aliases': {'hat': ['cap']},
    }
    assert made.agreement == 1 and made.given.share == made.trials[-1].share == 30 / 32
    assert made.counts.tolist() == sum(found().halves).tolist()


def test_what_is_told():
    lines = suggest(found()).lines()
    start = lines.index(
        'share of confusions inside groups, on photos that these were not found on:'
    )
    header, *rows = lines[start + 1 : start + 5]
    assert header.split()[:3] == ['groups', 'inside', 'random']
    chosen = next(row for row in rows if row.startswith('3 '))
    assert chosen.split()[:3] == ['3', '*', '93.8%']
    assert next(row for row in rows if row.startswith('own')).split()[:2] == ['own', '93.8%']
    text = '\n'.join(lines)
    assert 'agreement with the groups of own: adjusted Rand index 1.00 (' in text
    assert "without a group, as nothing tells what they are like: 'hat'" in text


def test_support_of_rare_classes():
    made = suggest(found())
    assert made.support_table().rows == [
        ['hat', 5, None, 0, None, 0],
        ['skirt', 10, 'like jeans', 30, 'jeans', 30],
    ]
    assert made.without_head() == ['hat', 'skirt']
    assert made.lines()[-1] == "rare classes whose group has no frequent class: 'hat', 'skirt'"
    other = suggest(found(boxes=[900, 800, 20, 10, 30, 40, 50]))
    # Of seven classes, the frequent third has two: shirt and jeans.
    assert other.without_head() == []
    assert [row[:4] for row in other.support_table().rows] == [
        ['skirt', 10, 'like jeans', 800],
        ['coat', 20, 'like shirt', 900],
    ]
    assert not any('rare' in line for line in suggest(found(boxes=None)).lines())


def test_groups_of_vectors_judged_by_confusions():
    """The order of the classes differs; none of the numbers may."""
    order = CLASSES[::-1]
    made = suggest(found(), vectors(order), num_groups=3)
    assert made.taxonomy.classes == order and made.own.classes == order
    assert made.own.is_ungrouped and made.given is None
    assert {made.taxonomy.superclass_of(name) for name in ('boot', 'sandal')} == {'like sandal'}
    trial = next(one for one in made.trials if one.num_groups == 3)
    assert trial.share == 30 / 32 and made.train_boxes == BOXES[::-1]
    own = suggest(found(), vectors(order), own=OWN, num_groups=3)
    assert own.agreement == 1 and own.given.share == 30 / 32
    assert own.own.superclass_of('coat') == 'top' and own.own.classes == order
    assert suggest(found(), vectors(order)).taxonomy == made.taxonomy


def test_without_a_judge_a_number_is_needed():
    made = suggest(None, vectors(), num_groups=3)
    assert made.trials == [] and made.lines()[0].startswith('without a group')
    with pytest.raises(ReportError, match=r'^nothing tells how many .*\(--groups\)$'):
        suggest(None, vectors())


@pytest.mark.parametrize(
    ('found', 'vectors', 'options', 'message'),
    [
        (
            found(),
            None,
            dict(num_groups=5),
            '^has no cut into 5 groups .--groups.*; it has for .*3$',
        ),
        (
            None,
            vectors(('shirt', 'coat', 'jeans')),
            {},
            'its 3 classes, 3 of which .* no two groups',
        ),
        (
            None,
            vectors(('shirt',)),
            dict(num_groups=2),
            'its 1 classes, 0 of which .* no two groups',
        ),
    ],
)
def test_cuts_that_do_not_exist(found, vectors, options, message):
    with pytest.raises(ReportError, match=message):
        suggest(found, vectors, **options)


def test_other_classes_are_refused():
    for options in (dict(own=Taxonomy('x', ['a', 'b'])), dict(vectors=vectors(('shirt', 'gown')))):
        with pytest.raises(TaxonomyError, match='not in taxonomy'):
            suggest(found(), **options)


@pytest.mark.parametrize('made', [suggest(found()), suggest(None, vectors(), num_groups=3)])
def test_the_figure_has_every_class_in_the_order_of_the_tree(made):
    with style.drawing() as figure:
        suggested_groups(figure, made)
        matrix, tree = figure.axes
        for names in (matrix.get_xticklabels(), matrix.get_yticklabels()):
            shown = [text.get_text() for text in names]
            assert sorted(shown) == sorted(CLASSES) and shown[-1] == 'hat'
            assert abs(shown.index('shirt') - shown.index('coat')) == 1
        assert len(tree.lines) == 5
        values = matrix.images[0].get_array()
        row, column = shown.index('jeans'), shown.index('boot')
        if made.counts is not None:
            assert values[row, column] == pytest.approx(2 / 8)
        else:
            assert values[row, column] == 0.5
