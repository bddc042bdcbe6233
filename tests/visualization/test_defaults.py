"""What is left out of calls: the defaults are a part of the interface."""

from __future__ import annotations

import pytest

from mmdet_multigrain.visualization import pictures, style

from ..signatures import defaults

DEFAULTS = {
    pictures.around: dict(least=0.35),
    pictures.shorten_to: dict(bold=False),
    pictures.font_for: dict(bold=False),
    style.heading: dict(above=0),
    style.missing_letters_line: dict(what='figures'),
    style.warn_of_missing_letters: dict(what='figures'),
    style.shown: dict(kind='class'),
    style.readable: dict(kind='class'),
}


@pytest.mark.parametrize('function', DEFAULTS, ids=lambda one: one.__qualname__)
def test_defaults(function):
    assert defaults(function) == DEFAULTS[function]
