"""Every tool in a Python that lacks the package, or what it needs: one line that names the set-up."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from .conftest import REPOSITORY

# These two say what is missing.
TOOLS = sorted({*(REPOSITORY / 'tools').rglob('*.py')} - {*(REPOSITORY / 'tools').glob('*env*.py')})


@pytest.mark.parametrize('tool', TOOLS, ids=lambda path: path.stem)
def test_another_python(tool):
    # Isolated, without installed packages.
    command = [sys.executable, '-I', '-S', str(tool)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, '')
    line = r"error: No module named '\w+'; fix: bash tools/setup\.sh; \. \.venv/bin/activate\n"
    assert re.fullmatch(line, done.stderr)
