"""Small heads, and batches for them."""

from __future__ import annotations

import torch

from mmdet_multigrain.models import MultiGrainedBBoxHead

SMALL = dict(in_channels=4, roi_feat_size=3, fc_out_channels=16)


def make_head(taxonomy, **arguments):
    torch.manual_seed(0)
    head = MultiGrainedBBoxHead(taxonomy=taxonomy, **{**SMALL, **arguments})
    head.init_weights()
    return head


def make_batch(num_classes, num=12, seed=1, device='cpu'):
    """Features, RoIs and targets as BBoxHead.loss takes them; a third is background."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(num, 4, 3, 3, generator=generator)
    corners = torch.rand(num, 2, generator=generator) * 50
    rois = torch.cat([torch.zeros(num, 1), corners, corners + 20], 1)
    labels = torch.arange(num) % (num_classes + 1)
    targets = torch.randn(num, 4, generator=generator)
    weights = (labels < num_classes).float()[:, None].expand(num, 4)
    batch = dict(
        rois=rois,
        labels=labels,
        label_weights=torch.ones(num),
        bbox_targets=targets * weights,
        bbox_weights=weights,
    )
    return features.to(device), {key: value.to(device) for key, value in batch.items()}


def losses_of(head, features, batch):
    cls_score, bbox_pred = head(features)
    return head.loss(cls_score, bbox_pred, **batch)


def total(losses):
    return sum(value for key, value in losses.items() if 'loss' in key)
