"""Heads for "stuff" next to those of objects."""

from __future__ import annotations

from mmdet.registry import MODELS

from mmdet_multigrain.engine.hooks.preflight_hook import check_data

from .test_preflight_hook import Model, data, head


def test_classes_of_stuff_are_not_those_of_the_data(garments):
    model = Model(head(garments))
    model.roi_head.semantic_head = MODELS.build(
        dict(
            type='FusedSemanticHead', num_ins=5, fusion_level=1, num_convs=1, in_channels=2,
            conv_out_channels=2, num_classes=183,
        )
    )  # fmt: skip
    check_data(model, data(garments))
