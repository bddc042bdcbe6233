"""Ways to run a benchmark: in this process, or in one of its own; each test has locks of its own."""

from __future__ import annotations

import contextlib
import io
import os
import runpy
import sys
import tempfile
from collections.abc import Iterator
from unittest import mock

import pytest

from tests.tools.conftest import Result, garment_data, one_thread  # noqa: F401 (two are fixtures)
from tests.tools.conftest import start as start_command


@pytest.fixture(scope='module', autouse=True)
def own_locks(tmp_path_factory) -> Iterator[None]:
    """Locks of runs in a folder of this module: the machine's own runs do not matter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('TMPDIR', str(tmp_path_factory.mktemp('locks')))
        patch.setattr(tempfile, 'tempdir', None)
        yield
    tempfile.tempdir = None


def call(module: str, *arguments: object) -> Result:
    """Run benchmarks.<module> within this process, which has imported everything already."""
    out, err, status = io.StringIO(), io.StringIO(), 0
    with (
        mock.patch.dict(os.environ),
        mock.patch.object(sys, 'argv', [module, *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            runpy.run_module(f'benchmarks.{module}', run_name='__main__', alter_sys=True)
        except SystemExit as stop:
            status = stop.code or 0
    return Result(status, out.getvalue(), err.getvalue())


def start(module: str, *arguments: object, **environment: str) -> Result:
    """Run benchmarks.<module> in a separate process."""
    return start_command(sys.executable, '-m', f'benchmarks.{module}', *arguments, **environment)
