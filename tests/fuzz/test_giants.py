"""Files without end, here of a few megabytes: refused at once, in little memory.

`tools/reliability/fuzz_readers.py --giants` reads those of 1 GB.
"""

from __future__ import annotations

import subprocess
import sys

import pytest
from fuzzing import giants
from fuzzing.giants import GIANTS, run_giant
from fuzzing.judge import one_case
from fuzzing.readers import READERS

SIZE = 6_000_000
ACCEPTED = {'check-dataset-line'}  # with its findings
SLOW = {'yaml-full'}  # as large as such a file may be: 20 s


@pytest.mark.parametrize('name', sorted(GIANTS.keys() - SLOW))
def test_a_giant_is_answered_in_one_line(name):
    giant = GIANTS[name]
    files = {**giants._others(), giant.name: b''.join(giant.pieces(SIZE))}
    reader = READERS[giant.reader]
    assert one_case(reader, files) is (name in ACCEPTED)


def test_memory_and_time_are_measured_in_a_process_of_its_own(monkeypatch):
    row = run_giant('coco-line', size=50_000_000)
    assert row.passed and row.said.startswith('refused: ') and "no list 'images'" in row.said
    assert 48 < row.file_mb < 52 and 100 < row.peak_mb < row.bound_mb < 1000
    monkeypatch.setattr(giants, 'BASE_MB', -1000)
    assert not run_giant('coco-deep', size=1).passed


def test_script(fuzz_tool, repository, monkeypatch):
    monkeypatch.setenv('PYTHONPATH', str(repository))
    done = subprocess.run(
        [sys.executable, str(fuzz_tool), '--giants', 'yaml-merges', '--size-mb', '1'],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    head, row = filter(str.strip, done.stdout.splitlines())
    assert head.startswith('giant') and 'yaml-merges' in row
    # Which of both depends on PyYAML: 6.0.4 merges a key once.
    assert 'over 100,000 keys' in row or "refused: /x.yaml: class 'y' is in two groups" in row
