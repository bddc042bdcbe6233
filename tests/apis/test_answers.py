"""Answers as specific as they can be trusted: what a prediction holds, says and shows of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmcv.ops import batched_nms
from PIL import ImageColor

from mmdet_multigrain.apis import drawing
from mmdet_multigrain.apis.answers import answers_of, merge_answers
from mmdet_multigrain.apis.detector import Prediction, describe
from mmdet_multigrain.apis.drawing import draw
from mmdet_multigrain.evaluation.answers import AnswerRule
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.visualization.palette import (
    NO_SUPERCLASS,
    class_palette,
    superclass_colors,
)

BOXES = [
    [20, 40, 80, 90],
    [22, 40, 80, 90],
    [100.5, 30, 160.25, 70],
    [0, 0, 200, 100],
    [21, 41, 80, 90],
]


def prediction(taxonomy, labels, scores, lineage, theta):
    """Detections in a gray image of 200 x 100 pixels, answered by a threshold."""
    rule, lineage = AnswerRule(theta, taxonomy), np.array(lineage, np.float32)
    return Prediction(
        image=np.full((100, 200, 3), 128, np.uint8),
        labels=np.array(labels),
        scores=np.array(scores, np.float32),
        boxes=np.array(BOXES[: len(labels)], np.float32),
        lineage=lineage,
        calibrated=rule.probabilities(lineage),
        answer_levels=rule.levels(lineage),
        rois=np.arange(len(labels)),
        iou_thr=0.5,
    )


@pytest.fixture
def hedged(garments) -> Prediction:
    """Two tops of one object, a sure hat, something, and a sure vest over the tops."""
    return prediction(
        garments,
        [0, 2, 3, 1, 2],
        [0.4, 0.36, 0.32, 0.3, 0.27],
        [[0.5, 0.9], [0.45, 0.9], [0.8, 0.8], [0.4, 0.6], [0.9, 0.95]],
        theta=0.7,
    )


def test_a_detection_in_words(hedged, garments):
    stock = Prediction(hedged.image, hedged.labels, hedged.scores, hedged.boxes)
    found, plain = describe(hedged, garments), describe(stock, garments)
    rows = found['detections']
    assert 'answers' not in plain
    added = {'levels', 'answer', 'answer_level', 'answer_score'}
    assert [{k: v for k, v in row.items() if k not in added} for row in rows] == plain['detections']
    assert rows[0]['levels'] == [{'name': 'shirt', 'score': 0.5}, {'name': 'top', 'score': 0.9}]
    assert [(row['answer'], row['answer_level'], row['answer_score']) for row in rows] == [
        ('top', 1, 0.9), ('top', 1, 0.9), ('hat', 0, 0.8), ('object', 2, 1.0), ('vest', 0, 0.9),
    ]  # fmt: skip
    # Of the tops, both from regions with something for 0.8, the first gives the box.
    assert found['answers'] == [
        {'name': 'object', 'level': 2, 'score': 0.75, 'box': [0, 0, 200, 100], 'members': [3]},
        {'name': 'top', 'level': 1, 'score': 0.72, 'box': [20, 40, 60, 50], 'members': [0, 1]},
        {'name': 'hat', 'level': 0, 'score': 0.32, 'box': [100.5, 30, 59.75, 40], 'members': [2]},
        {'name': 'vest', 'level': 0, 'score': 0.27, 'box': [21, 41, 59, 49], 'members': [4]},
    ]


def test_the_threshold_of_scores_keeps_all_columns(hedged):
    kept = hedged.above(0.31)
    assert kept.labels.tolist() == [0, 2, 3]
    for name in ('scores', 'boxes', 'lineage', 'calibrated', 'answer_levels', 'rois'):
        assert np.array_equal(getattr(kept, name), getattr(hedged, name)[:3])
    assert kept.iou_thr == 0.5 and kept.image is hedged.image
    assert hedged.above(1.0).answer_scores.shape == hedged.above(1.0).objectness.shape == (0,)


def test_that_there_is_an_object_is_at_most_sure(garments):
    """Single precision may make the sum over the classes of a region a bit more."""
    found = prediction(garments, [0, 1], [0.50001, 0.3], [[0.5, 0.9], [0.5, 0.9]], theta=0.7)
    np.testing.assert_allclose(found.objectness, [1, 0.6], rtol=1e-6)
    assert found.objectness.max() == 1


def test_answers_are_ancestors_and_scores_never_fall_on_the_way_up(three_levels):
    random, seen = np.random.default_rng(0), set()
    for _ in range(100):
        lineage = np.sort(random.choice([random.random(), 0.12344, 0.12346, 1e-9], (5, 3)), axis=1)
        found = prediction(
            three_levels, random.integers(0, 5, 5), lineage[:, 0] * 0.9, lineage, random.random()
        )
        content = describe(found, three_levels)
        for row in content['detections']:
            path = [row['class'], *row['superclasses'][::-1], 'object']
            assert [node['name'] for node in row['levels']] == path[:-1]
            scores = [*(node['score'] for node in row['levels']), 1.0]
            assert scores == sorted(scores)
            assert row['answer'] == path[row['answer_level']]
            assert row['answer_score'] == scores[row['answer_level']]
            seen.add(row['answer_level'])
        members = [number for answer in content['answers'] for number in answer['members']]
        assert sorted(members) == [*range(5)]
        for answer in content['answers']:
            assert answer['score'] >= content['detections'][answer['members'][0]]['score']
    assert seen == {0, 1, 2, 3}


def test_nodes_of_the_same_classes_are_one_answer(three_levels):
    """The hat is the only class of its groups, which a calibrated rule may trust more."""
    hat = three_levels.label_of('hat')
    lineage = [[0.5, 0.5, 0.9], [0.8, 0.8, 0.9]]
    found = prediction(three_levels, [hat, hat], [0.5, 0.4], lineage, theta=0.7)
    assert found.answer_levels.tolist() == [2, 0]
    (answer,) = answers_of(found, three_levels)
    assert (answer.name, answer.members) == ('head', (0, 1))


def test_labels_mark_what_is_less_than_a_class(hedged, garments, monkeypatch):
    drawn = []
    monkeypatch.setattr(drawing, 'draw_marks', lambda picture, marks, **_: drawn.extend(marks))
    draw(hedged, garments)
    assert [mark.text for mark in drawn] == [
        'object? 0.75', 'top? 0.72', 'hat 0.32', 'vest (top) 0.27',
    ]  # fmt: skip
    palette, groups = class_palette(garments), superclass_colors(garments)
    assert [mark.color for mark in drawn] == [
        ImageColor.getrgb(NO_SUPERCLASS),
        ImageColor.getrgb(groups['top']),
        palette[3],
        palette[2],
    ]
    assert drawn[1].box == (20, 40, 60, 50)
    del drawn[:]
    three = Taxonomy.load({'groups': {'a': {'\ue123': ['x', 'y'], 'c': ['z']}, 'b': ['w']}})
    lineage = [[0.1, 0.8, 0.8], [0.1, 0.1, 0.8], [0.1, 0.8, 0.8]]
    draw(prediction(three, [0, 1, 3], [0.1] * 3, lineage, 0.7), three)
    assert sorted(mark.text for mark in drawn) == ['a? 0.80', 'group 0? 0.80', 'w (b) 0.80']


def iou(one, other):
    x1, y1, x2, y2 = *np.maximum(one[:2], other[:2]), *np.minimum(one[2:], other[2:])
    shared = max(x2 - x1, 0) * max(y2 - y1, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


def naive(boxes, scores, nodes, iou_thr):
    answers = []
    for number in sorted(range(len(boxes)), key=lambda number: -scores[number]):
        for answer in answers:
            if nodes[number] == nodes[answer[0]] and iou(boxes[number], boxes[answer[0]]) > iou_thr:
                answer.append(number)
                break
        else:
            answers.append([number])
    return answers


@pytest.mark.parametrize('iou_thr', [0.0, 0.3, 0.5, 1.0])
def test_against_a_loop_and_against_suppression(iou_thr):
    random, merged = np.random.default_rng(0), 0
    for count in (0, 1, 2, *[30] * 20):
        corners = random.uniform(0, 60, (count, 2))
        boxes = np.hstack([corners, corners + random.uniform(15, 60, (count, 2))])
        boxes, nodes = boxes.astype(np.float32), random.integers(0, 3, count)
        scores = random.permutation(count).astype(np.float32) / 50
        answers = [
            members.tolist() for members in merge_answers(boxes, scores, nodes, iou_thr=iou_thr)
        ]
        assert answers == naive(boxes, scores, nodes, iou_thr)
        assert sorted(sum(answers, [])) == [*range(count)]
        merged += count - len(answers)
        if not count:
            continue  # which batched_nms cannot do
        rows = map(torch.from_numpy, (boxes, scores, nodes))
        _, kept = batched_nms(*rows, dict(type='nms', iou_threshold=iou_thr))
        assert [members[0] for members in answers] == kept.tolist()
    assert (merged > 50) == (iou_thr < 1)


def test_of_equal_scores_the_first_detection_stays():
    boxes, scores = np.tile([0.0, 0, 9, 9], (3, 1)), np.array([0.5, 0.7, 0.7])
    (answer,) = merge_answers(boxes, scores, np.zeros(3), iou_thr=0.5)
    assert answer.tolist() == [1, 2, 0]
    apart = merge_answers(boxes, scores, np.array([1, 1, 0]), iou_thr=0.5)
    assert [members.tolist() for members in apart] == [[1, 0], [2]]
    many = np.tile(boxes[0], (60, 1)), np.arange(60) % 3 / 2, np.zeros(60)
    (answer,) = merge_answers(*many, iou_thr=0.5)
    assert answer.tolist() == [*range(2, 60, 3), *range(1, 60, 3), *range(0, 60, 3)]


def test_an_overlap_of_just_the_threshold_is_not_enough():
    boxes = np.array([[0.0, 0, 10, 10], [0, 0, 10, 5]])
    for iou_thr, count in ((0.5, 2), (0.49, 1)):
        assert len(merge_answers(boxes, np.ones(2), np.zeros(2), iou_thr=iou_thr)) == count
