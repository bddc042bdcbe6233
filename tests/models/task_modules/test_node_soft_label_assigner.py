"""RTMDet's matching with coarse labels: costs of the best class, against the stock assigner's."""

from __future__ import annotations

from unittest import mock

import pytest
import torch
from mmdet.models.task_modules import DynamicSoftLabelAssigner
from mmengine.structures import InstanceData

from mmdet_multigrain.models import NodeSoftLabelAssigner

K, TOP, OBJECT = 3, 4, 5  # classes; labels of the group of the first two, and of any object
ALLOWED = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0], [1, 1, 0], [1, 1, 1]]).bool()
BOXES = torch.tensor([[4.0, 4, 28, 28], [20, 20, 44, 44], [6, 30, 26, 60]])


def candidates():
    generator = torch.Generator().manual_seed(0)
    steps = torch.arange(8) * 8.0
    centers = torch.cartesian_prod(steps, steps)
    boxes = torch.cat([centers - 10, centers + 12], dim=1)
    boxes += torch.randn(64, 4, generator=generator)
    scores = torch.randn(64, K + 1, generator=generator) * 2  # the last column is a group's
    priors = torch.cat([centers, torch.full((64, 2), 8.0)], dim=1)
    return InstanceData(scores=scores, bboxes=boxes, priors=priors)


def run(kind, labels, boxes=BOXES):
    """What is assigned, and the costs of the candidates in a box."""
    labels, costs = torch.tensor(labels, dtype=torch.long), []
    found = candidates()
    stock = DynamicSoftLabelAssigner.dynamic_k_matching

    def spy(self, cost, *arguments):
        costs.append(cost)
        return stock(self, cost, *arguments)

    truth = InstanceData(bboxes=boxes[: len(labels)], labels=labels)
    if kind is NodeSoftLabelAssigner:
        truth.allowed = ALLOWED[labels]
    else:
        found.scores = found.scores[:, :K]
    with mock.patch.object(DynamicSoftLabelAssigner, 'dynamic_k_matching', spy):
        assigner = kind(topk=13)
        return assigner.assign(found, truth), (costs or [None])[0]


@pytest.mark.parametrize('labels', [[0, 1, 2], [2, 2], []])
def test_without_coarse_labels_it_is_stock(labels):
    (mine, cost), (theirs, wanted) = (
        run(NodeSoftLabelAssigner, labels),
        run(DynamicSoftLabelAssigner, labels),
    )
    assert torch.equal(mine.gt_inds, theirs.gt_inds) and torch.equal(mine.labels, theirs.labels)
    assert torch.equal(mine.max_overlaps, theirs.max_overlaps)
    assert cost is wanted is None or torch.equal(cost, wanted)


@pytest.mark.parametrize(('coarse', 'classes'), [(TOP, [0, 1]), (OBJECT, [0, 1, 2])])
def test_a_coarse_label_costs_what_its_best_class_would(coarse, classes):
    result, cost = run(NodeSoftLabelAssigner, [2, coarse, 1])
    of_classes = [run(DynamicSoftLabelAssigner, [2, label, 1])[1] for label in classes]
    found = candidates()
    centers = found.priors[:, :2]
    inside = ((centers[:, None] > BOXES[:, :2]) & (centers[:, None] < BOXES[:, 2:])).all(2).any(1)
    best = found.scores[inside][:, classes].argmax(1)
    assert len(best) == len(cost) and len(best.unique()) == len(classes)
    wanted = torch.stack(of_classes)[best, torch.arange(len(best))]
    torch.testing.assert_close(cost[:, 1], wanted[:, 1], rtol=1e-5, atol=1e-5)
    assert torch.equal(cost[:, [0, 2]], of_classes[0][:, [0, 2]])  # the others stay, bit for bit
    assert {*result.labels[result.gt_inds == 2].tolist()} == {coarse}
    assert {*result.labels.tolist()} == {-1, 1, 2, coarse}


def test_outputs_of_groups_play_no_part():
    first, _ = run(NodeSoftLabelAssigner, [TOP, 2])
    generated = candidates()
    generated.scores[:, K:] = 50.0
    with mock.patch(f'{__name__}.candidates', return_value=generated):
        second, _ = run(NodeSoftLabelAssigner, [TOP, 2])
    assert torch.equal(first.gt_inds, second.gt_inds)
