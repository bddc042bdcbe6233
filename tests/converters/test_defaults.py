"""What is left out of calls: the defaults are a part of the interface."""

from __future__ import annotations

import pytest

from mmdet_multigrain.converters import (
    deepfashion2,
    openimages,
    openimages_labels,
    openimages_rows,
    openimages_selection,
    openimages_sizes,
    synthetic_canvas,
    synthetic_deepfashion2,
    synthetic_garments,
)

from ..signatures import defaults

DEFAULTS = {
    deepfashion2.convert: dict(with_segmentation=False, force=False, progress=True),
    openimages.convert: dict(group_of='crowd', coarse='drop', force=False, progress=True),
    openimages.read_boxes: dict(group_of='crowd', coarse='drop', progress=False),
    openimages_labels.read_absent: dict(progress=False),
    openimages_rows.read_rows: dict(progress=False),
    openimages_selection.select: dict(source='class descriptions'),
    openimages_sizes.sizes_of_files: dict(progress=False),
    openimages_sizes.sizes_of_csv: dict(progress=False),
    synthetic_canvas.choose_color: dict(contrast=0, saturation=0.85),
    synthetic_deepfashion2.generate: dict(overwrite=False, workers=1, progress=True),
    synthetic_garments.smooth: dict(rounds=2),
    synthetic_garments.fold_lines: dict(flare=1.0),
}


@pytest.mark.parametrize('function', DEFAULTS, ids=lambda one: one.__qualname__)
def test_defaults(function):
    assert defaults(function) == DEFAULTS[function]
