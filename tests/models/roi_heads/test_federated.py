"""RoI heads on images of which only some classes are annotated."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS

from mmdet_multigrain.coco.unannotated import UNANNOTATED

from ...two_processes import run_two
from ..bbox_heads.made_heads import SMALL, total
from ..bbox_heads.test_multi_grained_in_roi_heads import one_image, roi_head_config

KINDS = ['StandardRoIHead', 'CascadeRoIHead']
HEADS = {
    'wgroup': dict(type='MultiGrainedBBoxHead'),
    'wogroup': dict(type='MultiGrainedBBoxHead', grouped=False),
    'merged': dict(type='MergedBBoxHead'),
}
VEST_AND_HAT = 2, 3


def build(kind, name, taxonomy, with_mask=False):
    bbox_head = {**HEADS[name], **SMALL, 'taxonomy': taxonomy.to_dict()}
    torch.manual_seed(0)
    roi_head = MODELS.build(roi_head_config(kind, bbox_head, with_mask))
    roi_head.init_weights()
    return roi_head


def batch(*unannotated, with_mask=False, boxes=True):
    """Two images; None: the image says nothing."""
    images = [one_image(with_mask) for _ in unannotated]
    for (sample, _), left_out in zip(images, unannotated, strict=True):
        if left_out is not None:
            sample.set_metainfo({UNANNOTATED: left_out})
        if not boxes:
            sample.gt_instances = sample.gt_instances[:0]
    samples, proposals = zip(*images, strict=True)
    return list(proposals), list(samples)


def losses_and_gradients(roi_head, proposals, samples):
    """With the same features and draws in each call."""
    torch.manual_seed(1)
    features = (torch.randn(len(samples), 4, 16, 16),)
    roi_head.zero_grad()
    losses = roi_head.loss(features, copy.deepcopy(proposals), copy.deepcopy(samples))
    total(losses).backward()
    return losses, {name: p.grad.clone() for name, p in roi_head.named_parameters()}


def heads_of(roi_head):
    own = roi_head.bbox_head
    return own if isinstance(own, torch.nn.ModuleList) else [own]


@pytest.mark.parametrize('name', HEADS)
@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('with_mask', [False, True])
def test_without_facts_all_is_stock_bit_by_bit(kind, name, with_mask, garments):
    given = batch(None, None, with_mask=with_mask)
    stock = losses_and_gradients(build(kind, name, garments, with_mask), *given)
    ours = build(f'Federated{kind}', name, garments, with_mask)
    told = batch(None, (), with_mask=with_mask)  # all classes are annotated
    for result in (
        losses_and_gradients(ours, *given),
        losses_and_gradients(ours, *told),
    ):
        for mine, theirs in zip(result, stock, strict=True):
            assert mine.keys() == theirs.keys()
            assert all(torch.equal(mine[key], theirs[key]) for key in mine)


@pytest.mark.parametrize('name', HEADS)
@pytest.mark.parametrize('kind', KINDS)
def test_background_teaches_nothing_about_classes_left_out(kind, name, garments):
    """On images without a box: all RoIs are background."""
    roi_head = build(f'Federated{kind}', name, garments)
    _, grads = losses_and_gradients(roi_head, *batch(VEST_AND_HAT, VEST_AND_HAT, boxes=False))
    first = 'bbox_head.0.' if kind[0] == 'C' else 'bbox_head.'
    fine = grads[f'{first}fc_cls.bias']
    assert not fine[[2, 3]].any() and fine[[0, 1, 4, 5]].all()
    if name != 'merged':
        hidden = [0, 2] if name == 'wgroup' else [2, 3]  # groups that hold one of them
        coarse = grads[f'{first}coarse_fc_cls.0.bias']
        others = [k for k in range(6) if k not in hidden]
        assert not coarse[hidden].any() and coarse[others].all()
    assert all(head.unannotated is None for head in heads_of(roi_head))


@pytest.mark.parametrize('name', HEADS)
def test_each_roi_has_the_facts_of_its_own_image(name, garments):
    """The loss of a batch is that of its images, by hand."""
    roi_head = build('FederatedStandardRoIHead', name, garments)
    head, seen = roi_head.bbox_head, {}

    def keep(cls_score, bbox_pred, rois, labels, *args, **kwargs):
        seen.update(scores=cls_score.detach(), images=rois[:, 0], labels=labels)
        return type(head).loss(head, cls_score, bbox_pred, rois, labels, *args, **kwargs)

    head.loss = keep
    losses, _ = losses_and_gradients(roi_head, *batch(VEST_AND_HAT, None))
    expected = []
    for scores, image, label in zip(seen['scores'], seen['images'], seen['labels'], strict=True):
        fine = scores[:6].clone()
        if image == 0 and label == 5:
            fine[[2, 3]] = -1e9
        expected.append((fine.logsumexp(0) - fine[label]).item())
    assert {
        (int(i), bool(k == 5)) for i, k in zip(seen['images'], seen['labels'], strict=True)
    } == {(image, background) for image in (0, 1) for background in (True, False)}
    key = 'loss_cls' if name == 'merged' else 'loss_cls_fine'
    assert losses[key].item() == pytest.approx(np.mean(expected), rel=1e-5)


def test_an_error_leaves_nothing_behind(garments):
    roi_head = build('FederatedStandardRoIHead', 'wgroup', garments)
    proposals, samples = batch(VEST_AND_HAT, VEST_AND_HAT)
    with pytest.raises(AssertionError):
        roi_head.loss((torch.zeros(2, 4, 16, 16),), proposals[:1], samples)
    assert roi_head.bbox_head.unannotated is None


WORKER = """
import copy, sys
import torch
import torch.distributed as dist
root, folder, rank = sys.argv[1], sys.argv[2], int(sys.argv[3])
sys.path.insert(0, root)
from mmdet_multigrain.launch import run_tool

class Step(torch.nn.Module):
    def __init__(self, roi_head):
        super().__init__()
        self.roi_head = roi_head
    def forward(self, *batch):
        losses = self.roi_head.loss(*batch)
        return sum(value for key, value in losses.items() if 'loss' in key)

def main():
    dist.init_process_group('gloo', init_method=f'file://{folder}/meet', rank=rank, world_size=2)
    import mmdet.models
    from mmengine.registry import init_default_scope
    from mmdet.registry import MODELS
    import mmdet_multigrain.models
    init_default_scope('mmdet')
    configs, steps = torch.load(f'{folder}/case.pt', weights_only=False)
    for config in configs:
        torch.manual_seed(0)
        roi_head = MODELS.build(config)
        roi_head.init_weights()
        train(torch.nn.parallel.DistributedDataParallel(Step(roi_head)), steps[rank])

def train(model, steps):
    for features, proposals, samples in copy.deepcopy(steps):
        model.zero_grad()
        model(features, proposals, samples).backward()
        grads = [p.grad for p in model.parameters()]
        assert all(g is not None and g.isfinite().all() for g in grads)
        flat = torch.cat([g.flatten() for g in grads])
        both = [torch.empty_like(flat) for _ in range(2)]
        dist.all_gather(both, flat)
        assert torch.equal(*both) and flat.any()

run_tool(main)
"""


@pytest.mark.long
def test_two_processes_train_on_coarse_boxes_and_parts_of_the_classes(garments, tmp_path):
    """DDP waits for a gradient of every parameter in every step of every process."""
    bbox_head = {**HEADS['wgroup'], **SMALL, 'taxonomy': garments.to_dict()}
    configs = [roi_head_config(f'Federated{kind}', bbox_head) for kind in KINDS]

    def step(labels, *unannotated, **options):
        proposals, samples = batch(*unannotated, **options)
        for sample in samples:
            sample.gt_instances.labels = torch.tensor(labels)[: len(sample.gt_instances)]
        return (torch.randn(len(samples), 4, 16, 16),), proposals, samples

    top, some_object = 6, 8
    steps = [
        [step([top, top], None), step([some_object, some_object], None), step([0, 1], None)],
        [step([0, 1], None), step([top, some_object], VEST_AND_HAT), step([], VEST_AND_HAT, boxes=False)],
    ]  # fmt: skip
    torch.save((configs, steps), tmp_path / 'case.pt')
    run_two(WORKER, tmp_path)
