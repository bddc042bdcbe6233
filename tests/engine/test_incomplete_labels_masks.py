"""Boxes without a mask stop a run of a model with masks before its first iteration."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from torch import nn

from mmdet_multigrain.engine.incomplete_labels import check_masks
from mmdet_multigrain.utils.errors import AnnotationError


def model(with_mask=True):
    detector = nn.Module()
    detector.roi_head = nn.Module()
    detector.roi_head.with_mask = with_mask
    return detector


class Part(list):
    """A data set: the boxes of each image, with or without a mask."""

    ann_file = 'a.json'

    def get_data_info(self, index):
        return dict(instances=[dict(mask=[]) if has_mask else {} for has_mask in self[index]])


FULL, LACKING = Part([[True], [], [True, True]]), Part([[True], [False, True, False]])


def test_boxes_without_a_mask_are_counted():
    check_masks(model(), FULL)
    with pytest.raises(AnnotationError) as caught:
        check_masks(model(), SimpleNamespace(datasets=[FULL, SimpleNamespace(dataset=LACKING)]))
    assert str(caught.value) == (
        'a.json: 2 of 4 boxes have no mask (segmentation) to train with; add masks, or leave mask '
        'out of the bases of the config'
    )


def test_boxes_alone_need_no_mask():
    check_masks(model(with_mask=False), LACKING)
    check_masks(nn.Module(), LACKING)
    check_masks(model(), LACKING, [SimpleNamespace(metrics=['bbox']), SimpleNamespace()])
    with pytest.raises(AnnotationError, match=r"2 of 4 boxes .* to evaluate \('segm'\); add"):
        check_masks(model(), LACKING, [SimpleNamespace(metrics=['bbox', 'segm'])])
