"""What is left out of calls: the defaults are a part of the interface."""

from __future__ import annotations

import pytest

from mmdet_multigrain.datasets import superclass_coco
from mmdet_multigrain.datasets.samplers import (
    exact_aspect_ratio_batch_sampler,
    exact_class_aware_sampler,
    exact_sampler,
)
from mmdet_multigrain.datasets.transforms import fast_loading

from ..signatures import defaults

DEFAULTS = {
    exact_aspect_ratio_batch_sampler.ExactAspectRatioBatchSampler: dict(drop_last=False),
    exact_class_aware_sampler.ExactClassAwareSampler: dict(num_sample_class=1),
    exact_sampler.ExactSampler: dict(shuffle=True),
    superclass_coco.SuperclassCocoDataset: dict(
        allow_missing=False,
        allow_unknown=False,
        coarse='label',
        unknown='raise',
        on_bad_image='stop',
    ),
    fast_loading.FastLoading: dict(reduced_decode=True),
}


@pytest.mark.parametrize('function', DEFAULTS, ids=lambda one: one.__qualname__)
def test_defaults(function):
    assert defaults(function) == DEFAULTS[function]
