"""What is left out of calls: the defaults are a part of the interface."""

from __future__ import annotations

import pytest

from mmdet_multigrain.coco import annotations, boxes, columns, split, unannotated

from ..signatures import defaults

DEFAULTS = {
    annotations.AnnotationFile: dict(
        allow_missing=False, allow_unknown=False, coarse=False, on_unknown='left out'
    ),
    annotations.match_categories: dict(allow_missing=False, allow_unknown=False, coarse=False),
    boxes.box_columns: dict(min_size=0),
    boxes.nothing_counts: dict(min_size=0),
    columns.CocoColumns.left_out: dict(min_size=0),
    columns.CocoColumns.not_counted: dict(min_size=0),
    columns.CocoColumns.counted: dict(min_size=0),
    columns.CocoColumns.why_not_counted: dict(min_size=0),
    split.split: dict(seed=0),
    split.join_near_duplicates: dict(progress=False),
    unannotated.all_but: dict(allow_missing=False),
}


@pytest.mark.parametrize('function', DEFAULTS, ids=lambda one: one.__qualname__)
def test_defaults(function):
    assert defaults(function) == DEFAULTS[function]
