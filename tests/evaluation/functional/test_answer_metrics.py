"""Metrics of answers: by hand, against naive references and hiereval, and what must always hold."""

from __future__ import annotations

import dataclasses
import math

import hiereval
import numpy as np
import pytest
from hotcoco import metrics

from mmdet_multigrain.evaluation.functional.answer_metrics import (
    MatchedDetections,
    accuracy_specificity,
    resample_matches,
    score_matches,
)
from mmdet_multigrain.evaluation.functional.bootstrap import image_weights
from mmdet_multigrain.evaluation.functional.boxes import Detections, GroundTruth
from mmdet_multigrain.evaluation.functional.risk_control import answer_levels
from mmdet_multigrain.taxonomy import Taxonomy

GARMENTS = Taxonomy.load(
    {'name': 'g', 'groups': {'top': ['vest', 'sling'], 'bottom': ['skirt']}, 'ungrouped': ['hat']}
)
VEST, SLING, SKIRT, HAT = range(4)
DEEP = Taxonomy.load(
    {
        'name': 'deep',
        'groups': {'a': {'b': ['1', '2', '3'], 'c': ['4']}, 'd': {'e': ['5', '6'], '7': ['7']}},
        'ungrouped': ['8'],
    }
)


def matched_of(*rows, taxonomy=GARMENTS):
    """Rows: photo, class, class of the object, probabilities."""
    photos, labels, truths, *lineages = np.array(rows, float).reshape(len(rows), -1).T
    columns = (column.astype(int) for column in (photos, labels, truths))
    return MatchedDetections(taxonomy, 3, *columns, np.array(lineages).T if lineages else None)


def scores_of(matched, weights=(1, 1, 1)):
    scores = score_matches(matched, np.array(weights, float)[:, None])
    return {key: value.item() for key, value in scores.items()}


def drawn(seed, taxonomy, size=60, num_photos=9):
    rng = np.random.default_rng(seed)
    truths = rng.integers(taxonomy.num_classes, size=size)
    labels = np.where(rng.random(size) < 0.5, truths, rng.integers(taxonomy.num_classes, size=size))
    lineages = np.sort(rng.integers(0, 21, (size, taxonomy.num_levels)) / 20, axis=1)  # many ties
    return MatchedDetections(
        taxonomy, num_photos, rng.integers(num_photos, size=size), labels, truths, lineages
    )


ROWS = (
    (0, VEST, VEST, 0.9, 0.9),
    (0, VEST, SLING, 0.5, 0.8),
    (1, SLING, SKIRT, 0.4, 0.6),
    (1, HAT, HAT, 0.7, 0.7),
    (2, HAT, VEST, 0.3, 0.3),
)


def test_errors_and_node_sets_by_hand():
    scores = scores_of(matched_of(*ROWS))
    assert (scores['wrong_0'], scores['wrong_1']) == (3 / 5, 2 / 5)
    assert scores['within_1'] == 1 / 3
    # A hat has one node, the others two. Of 8 nodes detected and 9 true ones, 4 are shared.
    assert (scores['hP'], scores['hR']) == (4 / 8, 4 / 9)
    assert scores['hF1'] == pytest.approx(2 * 4 / 17)
    twice = scores_of(matched_of(*ROWS), weights=(2, 0, 1))
    assert (twice['wrong_0'], twice['within_1'], twice['hP']) == (3 / 5, 2 / 3, 6 / 9)


def test_the_curve_by_hand():
    matched = matched_of(*ROWS)
    thetas, accuracy, specificity = accuracy_specificity(matched, np.ones((3, 1)))
    assert thetas.tolist() == [-1, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    # Two tops of four classes tell half as much as a class; the only skirt's group tells all.
    steps = [(2, 5), (3, 4), (3, 3.5), (4, 3), (5, 2.5), (5, 1.5), (5, 1), (5, 0)]
    assert np.hstack([accuracy, specificity]) == pytest.approx(np.array(steps) / 5)
    area = sum(
        (x - next_x) * (y + next_y) / 2
        for (y, x), (next_y, next_x) in zip(steps[:-1], steps[1:], strict=True)
    )
    assert scores_of(matched)['area'] == pytest.approx(area / 25)


def test_calibration_by_hand():
    rows = (0, VEST, VEST, 0.95, 1.0), (1, VEST, SLING, 0.95, 1.0), (2, VEST, HAT, 0.25, 0.35)
    scores = scores_of(matched_of(*rows))
    assert scores['ece_0'] == pytest.approx((abs(2 * 0.95 - 1) + 0.25) / 3)
    assert scores['ece_1'] == pytest.approx((0 + 0.35) / 3)


@pytest.mark.parametrize('taxonomy', [GARMENTS, DEEP])
@pytest.mark.parametrize('seed', range(5))
def test_hiereval_gives_the_same(seed, taxonomy):
    matched = drawn(seed, taxonomy)

    def path(label):
        names = [taxonomy.superclass_of(taxonomy.classes[label], n) for n in range(levels)]
        return list(dict.fromkeys([*names, taxonomy.classes[label]]))

    levels = taxonomy.num_levels - 1
    padded = [
        [[*path(label), *['UNK'] * (levels + 1 - len(path(label)))] for label in column]
        for column in (matched.truths, matched.labels)
    ]
    scores = scores_of(matched, np.ones(9))
    expected = hiereval.hierarchical_prf(*padded)
    assert scores['hP'] == pytest.approx(expected.precision)
    assert scores['hR'] == pytest.approx(expected.recall)
    assert scores['hF1'] == pytest.approx(expected.f1)
    assert 1 - scores['wrong_0'] == pytest.approx(hiereval.full_path_accuracy(*padded))


@pytest.mark.parametrize('seed', range(5))
def test_hotcoco_gives_the_same_calibration_error(seed):
    matched = drawn(seed, DEEP, size=400)
    matched = dataclasses.replace(
        matched, lineages=np.sort(np.random.default_rng(seed).random((400, 3)), axis=1)
    )
    scores = scores_of(matched, np.ones(9))
    for level in range(3):
        columns = matched.lineages[:, level], ~matched.wrong[:, level]
        assert scores[f'ece_{level}'] == pytest.approx(metrics.calibration_error(*columns, 10)[0])


@pytest.mark.parametrize('taxonomy', [GARMENTS, DEEP, Taxonomy('flat', ['a', 'b', 'c'])])
@pytest.mark.parametrize('seed', range(4))
def test_the_curve_is_that_of_the_answers(seed, taxonomy):
    """Against one loop over the detections at each threshold."""
    matched = drawn(seed, taxonomy)
    levels, classes = taxonomy.num_levels, taxonomy.num_classes
    weights = image_weights(9, range(3), seed=seed)
    thetas, accuracy, specificity = accuracy_specificity(matched, weights)
    assert (np.diff(thetas) > 0).all() and (np.diff(specificity, axis=0) <= 1e-9).all()
    assert (np.diff(accuracy, axis=0) >= -1e-9).all()
    assert specificity[0] == pytest.approx(1) and specificity[-1] == pytest.approx(0)
    assert accuracy[-1] == pytest.approx(1)
    for theta, *shown in zip(thetas, accuracy, specificity, strict=True):
        right = told = total = np.zeros(3)
        answers = answer_levels(matched.lineages, theta)
        rows = zip(answers, matched.labels, matched.truths, matched.photos, strict=True)
        for answer, label, truth, photo in rows:
            index = [0] * classes if answer == levels else taxonomy.group_index(levels - 1 - answer)
            below = index.count(index[label])
            right = right + weights[photo] * (index[label] == index[truth])
            told = told + weights[photo] * (1 - math.log(below) / math.log(classes))
            total = total + weights[photo]
        assert shown == [pytest.approx(right / total), pytest.approx(told / total)]


@pytest.mark.parametrize('chunk', [1, 100, 10**6])
def test_resamples_are_weighted_scores(monkeypatch, chunk):
    monkeypatch.setattr(f'{score_matches.__module__}.MAX_CELLS', chunk * 180)
    runs = [drawn(seed, DEEP) for seed in (1, 2)]
    found = resample_matches(runs, resamples=7, seed=3)
    weights = image_weights(9, range(8), seed=3)
    for run, scores in zip(runs, found, strict=True):
        repeated = {key: [] for key in scores}
        for times in weights.T:
            rows = np.repeat(np.arange(60), times[run.photos].astype(int))
            columns = [getattr(run, name)[rows] for name in ('photos', 'labels', 'truths')]
            same = dataclasses.replace(
                run, **dict(zip(('photos', 'labels', 'truths'), columns, strict=True)),
                lineages=run.lineages[rows],
            )  # fmt: skip
            for key, value in scores_of(same, np.ones(9)).items():
                repeated[key].append(value)
        assert scores == {key: pytest.approx(values) for key, values in repeated.items()}


def test_perfect_and_empty():
    matched = drawn(0, DEEP)
    perfect = dataclasses.replace(
        matched, labels=matched.truths, lineages=np.ones_like(matched.lineages)
    )
    scores = scores_of(perfect, np.ones(9))
    assert {key: value for key, value in scores.items() if not value} == {
        f'{name}_{level}': 0 for name in ('wrong', 'ece') for level in range(3)
    }
    assert [scores[key] for key in ('hP', 'hR', 'hF1', 'area')] == pytest.approx([1] * 4)
    assert math.isnan(scores['within_1']) and math.isnan(scores['within_2'])
    scores = score_matches(matched, np.zeros((9, 2)))
    assert all(np.isnan(value).all() and value.shape == (2,) for value in scores.values())
    columns = dict.fromkeys(('photos', 'labels', 'truths'), np.zeros(0, int))
    none = dataclasses.replace(matched, **columns, lineages=np.zeros((0, 3)))
    assert all(np.isnan(value).all() for value in score_matches(none, np.ones((9, 2))).values())
    without = scores_of(dataclasses.replace(matched, lineages=None), np.ones(9))
    assert without.keys() == {
        *(f'wrong_{n}' for n in range(3)),
        'within_1',
        'within_2',
        'hP',
        'hR',
        'hF1',
    }


def test_only_matches_count():
    truth = GroundTruth.from_annotations(
        ['a', 'b'],
        [
            {
                'image_id': image,
                'category_id': label,
                'bbox': [0, 0, 9, 9],
                'area': 81,
                'iscrowd': 0,
            }
            for image, label in (('a', HAT), ('b', VEST))
        ],
        range(4),
    )
    boxes = np.array([[50, 0, 9, 9], [0, 0, 9, 9], [0, 0, 9, 8], [0, 0, 9, 8]], float)
    lineages = np.arange(8).reshape(4, 2) / 8
    found = Detections(
        np.array([0, 0, 0, 1]), np.array([HAT, HAT, VEST, SLING]), boxes,
        np.array([0.9, 0.3, 0.8, 0.1]), lineages,
    )  # fmt: skip
    matched = MatchedDetections.of(truth, found, GARMENTS)
    assert (matched.photos.tolist(), matched.num_photos) == ([0, 1], 2)
    assert (matched.labels.tolist(), matched.truths.tolist()) == ([VEST, SLING], [HAT, VEST])
    assert matched.lineages.tolist() == lineages[2:].tolist()


def test_of_several_trees_the_main_one_counts(two_trees):
    """A shirt taken for shorts: right in season, wrong in kind."""
    box = dict(boxes=np.array([[0.0, 0, 9, 9]]))
    truth = GroundTruth(
        (1,), np.zeros(1, int), np.array([0]), areas=np.ones(1), crowd=np.zeros(1, bool), **box
    )
    found = Detections(np.zeros(1, int), np.array([3]), scores=np.ones(1), **box)
    wrong = {
        tree: MatchedDetections.of(truth, found, two_trees.with_main_tree(tree)).wrong.tolist()
        for tree in two_trees.trees
    }
    assert wrong == {'kind': [[True, True, False]], 'season': [[True, False]]}
