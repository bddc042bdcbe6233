"""Defaults of functions, for tests that they stay: callers rely on what they leave out."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np


def defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """Default by argument; arrays, None and nothing are left out."""
    parameters = inspect.signature(function).parameters.values()
    return {
        one.name: one.default
        for one in parameters
        if one.default is not one.empty
        and not isinstance(one.default, np.ndarray)
        and one.default not in (None, '', ())
    }
