"""Proposals of objects that half of the photos leave without a box, against training with all."""

from __future__ import annotations

import torch
from mmdet.structures.bbox import bbox_overlaps
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import nn

from mmdet_multigrain.coco.unannotated import UNANNOTATED
from mmdet_multigrain.models import Float32RPNHead

SIZE, SIDE = (64, 64), 16
TEST = ConfigDict(nms_pre=200, max_per_img=10, nms=dict(type='nms', iou_threshold=0.5))


def draw(generator, num):
    """Noise with six squares per photo, of two classes in turns: red and blue."""
    photos = torch.randn(num, 3, *SIZE, generator=generator) * 0.3
    corners = torch.randint(0, SIZE[0] - SIDE, (num, 6, 2), generator=generator)
    for photo, rows in zip(photos, corners.tolist(), strict=True):
        for number, (x, y) in enumerate(rows):
            photo[2 * (number % 2), y : y + SIDE, x : x + SIDE] += 1
    return photos, torch.cat([corners, corners + SIDE], dim=2).float()


def recall(in_two_files, unannotated_thr=None):
    """Share of new squares among the 10 best proposals, after 120 steps."""
    torch.manual_seed(0)
    backbone = nn.Sequential(
        nn.Conv2d(3, 16, 5, 2, 2), nn.ReLU(), nn.Conv2d(16, 16, 5, 2, 2), nn.ReLU()
    )
    assigner = dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.3, min_pos_iou=0.3)
    head = Float32RPNHead(
        in_channels=16,
        feat_channels=16,
        anchor_generator=dict(type='AnchorGenerator', scales=[4], ratios=[1.0], strides=[4]),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_stds=[0.5] * 4),
        unannotated_thr=unannotated_thr,
        train_cfg=ConfigDict(
            assigner=assigner,
            sampler=dict(type='RandomSampler', num=64, pos_fraction=0.5, add_gt_as_proposals=False),
            allowed_border=-1,
            pos_weight=-1,
        ),
    )
    head.init_weights()
    optimizer = torch.optim.Adam([*backbone.parameters(), *head.parameters()], lr=3e-3)
    generator = torch.Generator().manual_seed(1)
    meta = dict(img_shape=SIZE, pad_shape=SIZE)
    for _ in range(120):
        photos, boxes = draw(generator, 4)
        if in_two_files:  # every other photo has boxes of the one class, or of the other
            known = [
                (rows[n % 2 :: 2], {**meta, UNANNOTATED: (1 - n % 2,)})
                for n, rows in enumerate(boxes)
            ]
        else:
            known = [(rows, meta) for rows in boxes]
        objects = [
            InstanceData(bboxes=rows, labels=torch.zeros(len(rows)).long()) for rows, _ in known
        ]
        outputs = head([backbone(photos)])
        losses = head.loss_by_feat(*outputs, objects, [meta for _, meta in known])
        optimizer.zero_grad()
        sum(sum(parts) for parts in losses.values()).backward()
        optimizer.step()
    photos, boxes = draw(generator, 40)
    with torch.no_grad():
        outputs = head([backbone(photos)])
        found = head.predict_by_feat(*outputs, batch_img_metas=[meta] * len(photos), cfg=TEST)
    pairs = zip(boxes, found, strict=True)
    best = torch.cat([bbox_overlaps(rows, each.bboxes).amax(1) for rows, each in pairs])
    return (best >= 0.5).float().mean().item()


def test_objects_without_a_box_in_half_of_the_photos_are_proposed():
    full = recall(in_two_files=False)
    assert full > 0.95
    assert recall(in_two_files=True, unannotated_thr=0.5) > 0.9 * full
