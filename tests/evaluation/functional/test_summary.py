"""Averages by hand, and the text of a summary."""

import dataclasses
import math
import re

import numpy as np
import pytest

from mmdet_multigrain.evaluation.functional.coco_eval import CocoResult
from mmdet_multigrain.evaluation.functional.summary import rarest, render_text, summarize
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import EvaluationError

NAN = math.nan


def result(aps, num_gt, num_cut=0):
    """A result in which precision is the class's AP at every threshold; NaN: no boxes."""
    aps = np.nan_to_num(np.array(aps, dtype=float), nan=-1)
    precision = np.broadcast_to(aps[None, None, :, None, None], (10, 101, len(aps), 4, 3)).copy()
    return CocoResult(
        precision=precision,
        recall=precision[:, 0].copy(),
        scores=precision,
        iou_thrs=np.linspace(0.5, 0.95, 10),
        max_dets=(1, 10, 100),
        num_gt=np.array(num_gt),
        num_images=7,
        num_detections=42,
        num_cut=num_cut,
        engine='hotcoco',
    )


@pytest.fixture
def taxonomy():
    return Taxonomy.load({'top': ['vest', 'sling'], 'bottom': ['shorts', 'skirt']})


@pytest.fixture
def results():
    return [result([0.5, 0.7], [5, 3]), result([0.2, NAN, 0.4, 0.9], [5, 0, 2, 1])]


def test_means_leave_out_classes_without_boxes(results, taxonomy):
    summary = summarize(results, taxonomy, [10, 1, 30, 20])
    assert summary.fine.coco['AP'] == pytest.approx(0.5)
    assert summary.fine.coco['AR100'] == pytest.approx(0.5)
    assert summary.levels[0].coco['AP50'] == pytest.approx(0.6)
    assert summary.without_ground_truth == ('sling',)
    assert list(summary.fine.coco) == [
        'AP',
        'AP50',
        'AP75',
        'APs',
        'APm',
        'APl',
        'AR1',
        'AR10',
        'AR100',
        'ARs',
        'ARm',
        'ARl',
    ]


def test_rows_have_superclass_and_counts(results, taxonomy):
    summary = summarize(results, taxonomy, [10, 1, 30, 20])
    skirt = summary.fine.classes[3]
    assert (skirt.name, skirt.superclasses, skirt.train_boxes, skirt.val_boxes) == (
        'skirt',
        ('bottom',),
        20,
        1,
    )
    assert skirt.ap50 == pytest.approx(0.9)
    bottom = summary.levels[0].classes[1]
    assert (bottom.name, bottom.superclasses, bottom.train_boxes, bottom.val_boxes) == (
        'bottom',
        (),
        50,
        3,
    )


def graded(num_classes, *, max_dets=(1, 10, 100)):
    """A result whose numbers tell threshold, class, area and limit apart."""
    shape = (10, 101, num_classes, 4, len(max_dets))
    thresholds, _, classes, areas, limits = np.indices(shape, sparse=True)
    precision = np.broadcast_to(
        (10 - thresholds) / 20 + classes / 1000 + areas / 100 + limits / 10_000, shape
    )
    plain = result([0.0] * num_classes, [1] * num_classes)
    return dataclasses.replace(
        plain, precision=precision, recall=precision[:, 0] + 0.25, max_dets=max_dets
    )


def test_each_number_is_read_at_its_place(taxonomy):
    summary = summarize([graded(2), graded(4)], taxonomy, [4, 3, 2, 1])
    mean, last = 0.275, 0.0002  # over the thresholds; of the last limit
    for label, row in enumerate(summary.fine.classes):
        own = label / 1000 + last
        assert (row.ap, row.ap50, row.ap75) == pytest.approx((mean + own, 0.5 + own, 0.25 + own))
    classes = 0.0015
    expected = dict(AP=mean, AP50=0.5, AP75=0.25, APs=mean + 0.01, APm=mean + 0.02,
                    APl=mean + 0.03)  # fmt: skip
    expected = {key: value + classes + last for key, value in expected.items()}
    for key, value in dict(AR1=0, AR10=1e-4, AR100=last, ARs=0.01 + last, ARm=0.02 + last,
                           ARl=0.03 + last).items():  # fmt: skip
        expected[key] = mean + 0.25 + classes + value
    assert summary.fine.coco == pytest.approx(expected)
    coarse = summary.levels[0].classes
    assert [row.ap75 for row in coarse] == pytest.approx([0.25 + last, 0.251 + last])
    assert summary.tail.ap50 == pytest.approx(0.503 + last)
    assert (summary.num_images, summary.num_detections, summary.engine) == (7, 42, 'hotcoco')


@pytest.mark.parametrize(
    ('limits', 'names'),
    [
        ((1, 10, 300), ['AR1', 'AR10', 'AR300']),
        ((1, 10, 50), ['AR1', 'AR10', 'AR50']),
        ((1, 10), ['AR1', 'AR10']),
        ((1, 5), ['AR1', 'AR5']),
        ((1,), ['AR1']),
    ],
)
def test_other_limits_on_detections_have_their_names(limits, names):
    flat = Taxonomy('flat', ['a', 'b'])
    summary = summarize([graded(2, max_dets=limits)], flat)
    assert summary.max_dets == limits[-1]
    assert [key for key in summary.fine.coco if key.startswith('AR')] == [
        *names, 'ARs', 'ARm', 'ARl',
    ]  # fmt: skip
    found = [summary.fine.coco[name] for name in names]
    assert found == pytest.approx([0.5255 + place / 10_000 for place in range(len(limits))])


def test_a_superclass_has_the_limit_of_its_classes_but_the_name_of_one(taxonomy):
    summary = summarize([graded(2, max_dets=(1, 10, 200)), graded(4)], taxonomy)
    assert [*summary.levels[0].coco][6:9] == ['AR1', 'AR10', 'AR100']
    assert summary.levels[0].coco['AR100'] == pytest.approx(0.5255 + 0.0002)
    small = summarize([graded(2, max_dets=(1, 10, 14)), graded(4, max_dets=(1, 7))], taxonomy)
    assert [*small.levels[0].coco][6:8] == ['AR1', 'AR7']


def test_rarest_are_chosen_by_training_boxes_among_all_classes():
    names = [f'c{n}' for n in range(10)]
    aps = [0.1, 0.2, NAN, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    taxonomy = Taxonomy('flat', names)
    results = [result(aps, [5, 5, 0, 5, 5, 5, 5, 5, 5, 5])]
    tail = summarize(results, taxonomy, [9, 3, 1, 3, 3, 9, 9, 9, 9, 9]).tail
    # k = 3; of the three classes with 3 boxes the first two in label order; c2 has no AP.
    assert tail.classes == ('c2', 'c1', 'c3')
    assert (tail.ap, tail.ap50) == pytest.approx((0.3, 0.3))
    assert tail.tied == ('c4',)
    assert (tail.name, tail.counted_on) == ('rarest 30%', 'training')

    unknown = summarize(results, taxonomy)
    assert unknown.tail.counted_on == 'validation'
    assert unknown.tail.classes == ('c0', 'c1')  # 30% of the 9 with boxes
    assert unknown.tail.tied == ('c3', 'c4', 'c5', 'c6', 'c7', 'c8', 'c9')
    assert unknown.fine.classes[0].train_boxes is None
    assert '(validation boxes: c0, c1; as many as the last: c3, c4' in render_text(unknown)
    assert summarize(results, taxonomy, range(1, 11)).tail.tied == ()


@pytest.mark.parametrize(
    'num_classes, k', [(1, 1), (2, 1), (3, 1), (7, 2), (10, 3), (13, 3), (20, 6), (30, 9)]
)
def test_number_of_rarest(num_classes, k):
    taxonomy = Taxonomy('flat', [f'c{n}' for n in range(num_classes)])
    flat = summarize([result([0.5] * num_classes, [1] * num_classes)], taxonomy)
    assert len(flat.tail.classes) == k


def test_rarest_without_any_ground_truth_is_unknown(results, taxonomy):
    tail = rarest(summarize(results, taxonomy).fine.classes, [3, 1, 3, 3], counted_on='training')
    assert tail.classes == ('sling',) and math.isnan(tail.ap)


def test_thirds_hold_each_class_once():
    names = [f'c{n}' for n in range(8)]
    aps = [0.1, 0.2, NAN, 0.4, 0.5, 0.6, 0.7, 0.8]
    results = [result(aps, [5, 5, 0, 5, 5, 5, 5, 5])]
    thirds = summarize(results, Taxonomy('flat', names), [80, 70, 60, 50, 40, 30, 20, 10]).thirds
    assert [third.classes for third in thirds] == [
        ('c7', 'c6', 'c5'),
        ('c4', 'c3', 'c2'),
        ('c1', 'c0'),
    ]
    assert [third.ap for third in thirds] == pytest.approx([0.7, 0.45, 0.15])
    assert [third.name for third in thirds] == ['rare third', 'middle third', 'frequent third']


def test_thirds_leave_out_classes_that_are_never_learned():
    results = [result([0.0, 0.4, 0.6, 0.8], [5, 5, 5, 5])]
    thirds = summarize(results, Taxonomy('flat', list('abcd')), [0, 1, 2, 3]).thirds
    assert [third.classes for third in thirds] == [('b',), ('c',), ('d',)]


def test_two_classes_leave_a_third_empty():
    thirds = summarize([result([0.5, 0.5], [1, 1])], Taxonomy('flat', ['a', 'b'])).thirds
    assert [third.classes for third in thirds] == [('a',), ('b',), ()]
    assert math.isnan(thirds[2].ap)


def test_named_sets_of_classes(results, taxonomy):
    sets = {'tail': ['Skirt', 'vest', 'sling'], 'none': 'sling'}
    summary = summarize(results, taxonomy, [10, 1, 30, 20], class_sets=sets)
    tail, none = summary.class_sets
    assert (tail.name, tail.counted_on) == ('tail', None)
    assert tail.classes == ('skirt', 'vest', 'sling')
    assert (tail.ap, tail.ap50) == pytest.approx((0.55, 0.55))
    assert none.classes == ('sling',) and math.isnan(none.ap50)
    text = render_text(summary)
    assert re.search(r'\nleaf +tail +AP  55.00  AP50  55.00  \(skirt, vest, sling\)\n', text)


@pytest.mark.parametrize(
    ('classes', 'message'),
    [
        (['vest', 'hat'], "'hat' is not a class of taxonomy"),
        ('hat', "'hat' is not a class"),
        ([], 'it has no class'),
        (['vest', 'Vest'], 'it names a class twice'),
    ],
)
def test_sets_of_other_classes(results, taxonomy, classes, message):
    with pytest.raises(EvaluationError, match=f"^class_sets: 'tail': {message}"):
        summarize(results, taxonomy, class_sets={'tail': classes})


def test_the_text_says_what_the_limit_cut(taxonomy):
    levels = [result([0.5, 0.7], [5, 3], num_cut=3), result([0.5] * 4, [2] * 4, num_cut=7)]
    last = render_text(summarize(levels, taxonomy)).splitlines()[-1]
    assert last == (
        'left out, beyond 100 detections per image and class: 7 for classes, 3 for superclasses '
        'of 42 detections'
    )
    summary = summarize([result([0.5], [1], num_cut=5)], Taxonomy('flat', ['a']))
    assert summary.fine.num_cut == 5
    assert render_text(summary).endswith('class: 5 for classes of 42 detections')


def test_text(results, taxonomy):
    assert (
        render_text(summarize(results, taxonomy, [10, 1, 30, 20]))
        == """\
leaf: by class; a box of which only the superclass is known is a crowd of its classes
class   superclass  train  val     AP   AP50   AP75
vest    top            10    5  20.00  20.00  20.00
sling   top             1    0      -      -      -
shorts  bottom         30    2  40.00  40.00  40.00
skirt   bottom         20    1  90.00  90.00  90.00

superclass: boxes and detections relabeled by superclass, nothing suppressed
superclass  train  val     AP   AP50   AP75
top            11    5  50.00  50.00  50.00
bottom         50    3  70.00  70.00  70.00

leaf        4 classes                   AP  50.00  AP50  50.00  AP75  50.00  APs  50.00  APm  50.00  APl  50.00
superclass  2 superclasses              AP  60.00  AP50  60.00  AP75  60.00
expanded    6 classes and superclasses  AP  54.00  AP50  54.00
leaf        thirds by boxes             rare  20.00  middle  90.00  frequent  40.00
leaf        rarest 30% of classes       AP      -  AP50      -  (training boxes: sling)
without ground truth, in no mean: sling"""  # noqa: E501
    )


def test_text_of_three_levels_and_of_none():
    deep = Taxonomy.load({'top': {'light': ['vest', 'sling'], 'warm': ['coat']}, 'bag': ['tote']})
    sizes = [deep.num_groups(level) for level in range(3)]
    text = render_text(summarize([result([0.5] * n, [1] * n) for n in sizes], deep, [1] * 4))
    assert 'vest   top / light' in text
    assert 'level 1 group  superclass' in text and '\nlevel 0 group  train' in text
    assert (
        '\nexpanded    6 classes and superclasses  AP  50.00' in text
    )  # a group of one class is none
    assert '3 level 1 groups' in text and '2 level 0 groups' in text

    flat = Taxonomy('flat', ['a', 'b'])
    for taxonomy in (flat, flat.ungrouped()):
        levels = [result([0.5, 0.5], [1, 1])] * taxonomy.num_levels
        text = render_text(summarize(levels, taxonomy))
        assert text.count('\n\n') == 1 and 'superclasses' not in text


def test_levels_of_several_trees(two_trees):
    """Body 0.5, head 0.3; upper 0.7, lower -, hat 0.3; summer 0.8, winter 0.1, hat 0.3; classes."""
    counts = [5, 0, 0, 4, 3]
    levels = [
        result([0.5, 0.3], [9, 3]),
        result([0.7, NAN, 0.3], [5, 0, 3]),
        result([0.8, 0.1, 0.3], [9, 1, 3]),
        result([0.2, NAN, NAN, 0.6, 0.3], counts),
    ]
    summary = summarize(levels, two_trees, counts)
    assert [level.tree for level in summary.levels] == ['kind', 'kind', 'season', '']
    shirt, upper = summary.fine.classes[0], summary.levels[1].classes[0]
    assert shirt.superclasses == ('body', 'upper', 'summer') and upper.superclasses == ('body',)
    assert summary.levels[2].classes[0].superclasses == ()
    assert [row.train_boxes for row in summary.levels[2].classes] == [9, 0, 3]
    # Each node once: five classes, body, upper, lower, summer, winter; head and hats are the class.
    assert len(summary.expanded.classes) == 10
    known = (0.2, 0.6, 0.3, 0.5, 0.7, 0.8, 0.1)
    assert summary.expanded.ap == pytest.approx(sum(known) / len(known))
    text = render_text(summary)
    for title in ('level 0 (kind) group', 'level 1 (kind) group', 'level 2 (season) group'):
        assert re.search(rf'^{re.escape(title)} .* AP75$', text, re.MULTILINE), title
    assert re.search(r'^superclass +3 level 2 .season. groups +AP +40\.00', text, re.MULTILINE)
    assert 'body / upper / summer' in text
