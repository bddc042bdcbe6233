"""What is left out of calls: the defaults are a part of the interface."""

from __future__ import annotations

import pytest

from mmdet_multigrain.launch import errors, files

from ..signatures import defaults

DEFAULTS = {
    errors.run_tool: dict(interrupted='interrupted'),
    files.check_outputs: dict(replace=False),
}


@pytest.mark.parametrize('function', DEFAULTS, ids=lambda one: one.__qualname__)
def test_defaults(function):
    assert defaults(function) == DEFAULTS[function]
