"""The way to what tools/reliability/fuzz_readers.py does, for a few cases in place of thousands."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

FUZZING = Path(__file__).resolve().parents[2] / 'tools' / 'reliability'
sys.path.append(str(FUZZING))


@pytest.fixture(scope='session')
def fuzz_tool() -> Path:
    """The script."""
    return FUZZING / 'fuzz_readers.py'
