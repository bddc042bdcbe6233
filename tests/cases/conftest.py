"""The shared cases of files that people reported trouble with, run as their scripts run them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
CASES = REPOSITORY.parent / 'shared' / 'cases'


@pytest.fixture
def run_case() -> Callable[[str], str]:
    """Runs `run.sh` of the case with that number, and returns what it printed."""

    def run(number: str) -> str:
        scripts = sorted(CASES.glob(f'{number}_*/run.sh'))
        if not scripts:
            pytest.skip('the shared cases (../shared/cases) are not there')
        variables = {**os.environ, 'PROJ': str(REPOSITORY), 'PY': sys.executable}
        done = subprocess.run(
            ['bash', scripts[0]], capture_output=True, text=True, timeout=600, env=variables
        )
        return done.stdout + done.stderr

    return run
