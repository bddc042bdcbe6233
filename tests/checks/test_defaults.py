"""What is left out of calls: the defaults are a part of the interface."""

from __future__ import annotations

import pytest

from mmdet_multigrain.checks import anchors, classes, copies, data, dataset, photos

from ..signatures import defaults

DEFAULTS = {
    anchors.anchor_coverage: dict(max_images=1000, seed=0, progress=False),
    classes.check: dict(allow_missing=False),
    copies.check: dict(progress=False),
    data.CocoData: dict(max_examples=3),
    dataset.load_files: dict(max_examples=3),
    dataset.load_photos: dict(full_decode=False, progress=False),
    dataset.check_files: dict(progress=False),
    photos.read_photos: dict(full_decode=False, progress=False),
    photos.equal_files: dict(progress=False),
}


@pytest.mark.parametrize('function', DEFAULTS, ids=lambda one: one.__qualname__)
def test_defaults(function):
    assert defaults(function) == DEFAULTS[function]
