"""Which photos and cases are chosen, from detections whose kinds are known by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdet_multigrain.evaluation import Detections, GroundTruth
from mmdet_multigrain.evaluation.functional.error_analysis import Kind
from mmdet_multigrain.report.gallery.cases import (
    Case,
    cases_by_photo,
    choose_cases,
    choose_photos,
    find_cases,
)

SHIRT, VEST, SKIRT, HAT = range(4)  # of the taxonomy in conftest.py: two tops, a bottom, a hat


def columns(*rows):
    """(image, label, box) as arrays."""
    return {
        'images': np.array([row[0] for row in rows], int),
        'labels': np.array([row[1] for row in rows], int),
        'boxes': np.array([row[2] for row in rows], float).reshape(-1, 4),
    }


def truth_of(*rows, images=2, crowd=()):
    boxes = columns(*rows)
    return GroundTruth(
        tuple(range(images)),
        areas=boxes['boxes'][:, 2:].prod(axis=1),
        crowd=np.isin(np.arange(len(rows)), crowd),
        **boxes,
    )


def detections_of(*rows):
    return Detections(scores=np.array([row[3] for row in rows], float), **columns(*rows))


@pytest.fixture
def truth():
    return truth_of(
        (0, SHIRT, [0, 0, 10, 10]), (0, SKIRT, [50, 50, 10, 10]), (1, HAT, [20, 20, 10, 10])
    )


def test_each_kind(truth, taxonomy):
    found = find_cases(
        truth,
        detections_of(
            (0, SHIRT, [0, 0, 10, 10], 0.9),  # hit
            (0, SHIRT, [0, 0, 10, 10], 0.8),  # twice
            (0, VEST, [0, 0, 10, 8], 0.7),  # IoU 0.8 with the shirt
            (0, HAT, [50, 50, 10, 10], 0.6),  # the skirt
            (0, SKIRT, [55, 50, 10, 10], 0.55),  # IoU 1/3
            (0, HAT, [80, 80, 10, 10], 0.5),  # nothing there
            (1, SKIRT, [25, 20, 10, 10], 0.95),  # IoU 1/3 with the hat
            (1, HAT, [20, 20, 10, 10], 0.49),  # below the threshold
        ),
        taxonomy,
        score_thr=0.5,
    )
    assert [(case.image, case.kind, case.predicted, case.true, case.score) for case in found] == [
        (0, Kind.HIT, SHIRT, SHIRT, 0.9),
        (0, Kind.DUPLICATE, SHIRT, SHIRT, 0.8),
        (0, Kind.CLASS_WITHIN, VEST, SHIRT, 0.7),
        (0, Kind.CLASS_ACROSS, HAT, SKIRT, 0.6),
        (0, Kind.LOCALIZATION, SKIRT, SKIRT, 0.55),
        (0, Kind.BACKGROUND, HAT, None, 0.5),
        (1, Kind.BOTH_ACROSS, SKIRT, HAT, 0.95),
        (1, Kind.MISSED, None, HAT, None),
    ]
    assert [case.iou for case in found] == [
        1,
        1,
        0.8,
        1,
        pytest.approx(1 / 3),
        None,
        pytest.approx(1 / 3),
        None,
    ]
    assert found[2].box == (0, 0, 10, 8) and found[2].true_box == (0, 0, 10, 10)
    assert found[5].true_box is None
    assert found[7].box == found[7].true_box == (20, 20, 10, 10)
    assert [case.is_confused for case in found] == [
        False,
        False,
        True,
        True,
        False,
        False,
        True,
        False,
    ]


def test_a_lower_threshold_finds_what_was_missed(truth, taxonomy):
    detections = detections_of((1, HAT, [20, 20, 10, 10], 0.49))
    kinds = {
        thr: [case.kind for case in find_cases(truth, detections, taxonomy, score_thr=thr)]
        for thr in (0.49, 0.5)
    }
    assert kinds == {0.49: [Kind.MISSED, Kind.MISSED, Kind.HIT], 0.5: [Kind.MISSED] * 3}


def test_crowds_count_for_nothing(taxonomy):
    truth = truth_of((0, SHIRT, [0, 0, 10, 10]), crowd=[0])
    assert (
        find_cases(truth, detections_of((0, SHIRT, [1, 1, 5, 5], 0.9)), taxonomy, score_thr=0.5)
        == []
    )


def test_classes_on_either_side(truth, taxonomy):
    found = find_cases(
        truth, detections_of((0, HAT, [50, 50, 10, 10], 0.6)), taxonomy, score_thr=0.5
    )
    confused, shirt, hat = found
    assert confused.is_about({HAT}) and confused.is_about({SKIRT})
    assert not confused.is_about({SHIRT, VEST})
    assert [one.labels for one in found] == [{HAT, SKIRT}, {SHIRT}, {HAT}]
    assert [case.is_about({HAT}) for case in (shirt, hat)] == [False, True]


def case(kind=Kind.BACKGROUND, image=0, score=0.5, size=10):
    missed = kind == Kind.MISSED
    box = (0.0, 0.0, float(size), 1.0)
    return Case(kind, image, None if missed else 0, 0, None if missed else score, None, box, box)


NAMES = ['c.jpg', 'b.jpg', 'a.jpg']


def test_the_surest_first_and_each_photo_once_before_any_comes_again():
    cases = [
        case(image=0, score=0.9),
        case(image=0, score=0.8),
        case(image=1, score=0.6),
        case(image=0, score=0.7),
        case(image=2, score=0.6),
        case(Kind.LOCALIZATION, score=0.99),
        case(image=2, score=0.5),
    ]

    def chosen(count):
        return [
            (NAMES[one.image], one.score)
            for one in choose_cases(cases, Kind.BACKGROUND, file_names=NAMES, count=count)
        ]

    assert chosen(9) == [
        ('c.jpg', 0.9),
        ('a.jpg', 0.6),
        ('b.jpg', 0.6),
        ('c.jpg', 0.8),
        ('a.jpg', 0.5),
        ('c.jpg', 0.7),
    ]
    assert chosen(2) == chosen(9)[:2]
    assert chosen(0) == []


def test_the_largest_missed_boxes():
    cases = [case(Kind.MISSED, image=0, size=5), case(Kind.MISSED, image=1, size=9)]
    chosen = choose_cases(cases, Kind.MISSED, file_names=NAMES, count=2)
    assert [one.image for one in chosen] == [1, 0]


def test_photos_on_which_runs_differ_most():
    good = [case(Kind.HIT, 0), case(Kind.HIT, 1), case(Kind.HIT, 1)]
    bad = [
        case(Kind.HIT, 0),
        case(Kind.LOCALIZATION, 1),
        case(Kind.MISSED, 2),
        case(Kind.MISSED, 2),
    ]
    # c.jpg: 1 and 1. b.jpg: 2 and -1. a.jpg: 0 and 0, since nothing is wrong there.
    assert choose_photos([good, bad], file_names=NAMES, count=3) == [1, 2, 0]
    assert choose_photos([bad, good], file_names=NAMES, count=1) == [1]
    third = [case(Kind.DUPLICATE, 2)] * 4  # three runs: the highest minus the lowest
    assert choose_photos([good, bad, third], file_names=NAMES, count=3) == [2, 1, 0]


def test_photos_on_which_one_run_errs_most():
    cases = [
        case(Kind.HIT, 0),
        case(Kind.LOCALIZATION, 1),
        case(Kind.MISSED, 2),
        case(Kind.MISSED, 2),
    ]
    assert choose_photos([cases], file_names=NAMES, count=3) == [2, 1, 0]


def test_cases_by_photo():
    cases = [case(image=1), case(image=0), case(Kind.HIT, image=1)]
    photos = cases_by_photo(cases)
    assert photos[1] == [cases[0], cases[2]] and photos[0] == [cases[1]] and photos[2] == []


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.floats(0.1, 1)), max_size=12),
    st.integers(0, 13),
    st.randoms(),
)
def test_the_choice_is_a_beginning_whatever_the_order(drawn, count, shuffler):
    cases = [
        Case(Kind.BACKGROUND, image, label, None, score, None, (0, 0, 1, n), None)
        for n, (image, label, score) in enumerate(drawn)
    ]
    chosen = choose_cases(cases, Kind.BACKGROUND, file_names=NAMES, count=count)
    everything = choose_cases(cases, Kind.BACKGROUND, file_names=NAMES, count=99)
    assert chosen == everything[:count]
    # Naive: turn by turn, the best left of each photo.
    queues = {
        image: sorted((one for one in cases if one.image == image), key=lambda one: -one.score)
        for image in range(3)
    }
    expected = []
    while any(queues.values()):
        turn = [queue.pop(0) for queue in queues.values() if queue]
        expected += sorted(turn, key=lambda one: (-one.score, NAMES[one.image]))
    assert everything == expected
    if len({one.score for one in cases}) == len(cases):
        shuffler.shuffle(cases)
        assert choose_cases(cases, Kind.BACKGROUND, file_names=NAMES, count=count) == chosen
