"""What runs were trained as, compared and in words."""

from __future__ import annotations

import pytest

from mmdet_multigrain.evaluation.training_record import (
    group_difference,
    record_difference,
    record_text,
)
from mmdet_multigrain.taxonomy import Taxonomy

GROUPS = {'name': 'garments', 'groups': {'top': ['shirt', 'vest'], 'bottom': ['skirt']}}
HEAD = dict(type='MultiGrainedBBoxHead', grouped=True, level_weights=[1.0, 1.0], box_stds=[0.1])
PLACES = '{there} there, {here} here'


def record(**changes):
    return {'roi_head.bbox_head': {**HEAD, 'taxonomy': GROUPS, **changes}}


@pytest.mark.parametrize(
    ('changes', 'difference'),
    [
        (dict(), None),
        (dict(grouped=False), 'roi_head.bbox_head.grouped is True there, False here'),
        (
            dict(level_weights=[0.25, 1.0]),
            'roi_head.bbox_head.level_weights is [1.0, 1.0] there, [0.25, 1.0] here',
        ),
        (
            dict(taxonomy={'groups': {'a': ['shirt'], 'b': ['vest', 'skirt']}}),
            "in roi_head.bbox_head, 'vest' is in group 0 ('top') there, 1 ('b') here",
        ),
        (dict(taxonomy={'groups': {'a': ['shirt', 'vest'], 'b': ['skirt']}}), None),
        (
            dict(taxonomy={'groups': {'all': ['shirt', 'vest', 'skirt']}}),
            "in roi_head.bbox_head, 'skirt' is in group 1 ('bottom') there, 0 ('all') here",
        ),
        (dict(new_fact=1), None),  # an earlier version did not write it
    ],
)
def test_first_difference(changes, difference):
    assert record_difference(record(), record(**changes), places=PLACES) == difference


def test_modules_of_one_side_do_not_count():
    assert record_difference({}, record(), places=PLACES) is None
    assert record_difference(record(), {'rpn_head': {'a': 1}}, places=PLACES) is None


def test_other_number_of_levels():
    deep = Taxonomy.load({'groups': {'top': {'a': ['shirt'], 'b': ['vest']}, 'bottom': ['skirt']}})
    found = group_difference(Taxonomy.load(GROUPS), deep, places=PLACES)
    assert found == 'there are 2 levels there, 3 here'


def test_in_words():
    assert record_text(None) == record_text({'rpn_head': {'a': 1}}) == ''
    assert record_text(record()) == (
        "MultiGrainedBBoxHead(grouped=True, level_weights=[1.0, 1.0], taxonomy='garments')"
    )
    stages = {f'roi_head.bbox_head.{n}': dict(type='A') for n in range(3)}
    assert record_text(stages) == 'A()'
    others = {'roi_head.bbox_head.3': dict(type='B', loss=1), 'rpn_head': {'a': 1}}
    assert record_text(stages | others) == 'A(); B(loss=1)'
