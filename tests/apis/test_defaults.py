"""What is left out of calls: the defaults are a part of the interface."""

from __future__ import annotations

import pytest

from mmdet_multigrain.apis import roi_outputs, score_sweep

from ..signatures import defaults

DEFAULTS = {
    roi_outputs.read_roi_outputs: dict(split='test', redo=False),
    score_sweep.make_fusions: dict(num_levels=2, with_groups=True),
    score_sweep.ScoreSweep.halves: dict(seed=0),
}


@pytest.mark.parametrize('function', DEFAULTS, ids=lambda one: one.__qualname__)
def test_defaults(function):
    assert defaults(function) == DEFAULTS[function]
