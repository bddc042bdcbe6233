"""What is left out of calls: the defaults are a part of the interface."""

from __future__ import annotations

import pytest

from mmdet_multigrain.utils import files, images, seeding

from ..signatures import defaults

DEFAULTS = {
    files.load_json: dict(allow_nan=False),
    files.open_whole: dict(sync=True),
    files.write_whole: dict(sync=False),
    images.image_headers: dict(progress=False),
    seeding.seed_generators: dict(devices=True),
}


@pytest.mark.parametrize('function', DEFAULTS, ids=lambda one: one.__qualname__)
def test_defaults(function):
    assert defaults(function) == DEFAULTS[function]
