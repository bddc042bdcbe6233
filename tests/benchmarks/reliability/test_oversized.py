"""Oversized files, here of a few megabytes: refused at once, in little memory.

`python -m benchmarks.reliability.fuzz_readers --giants` reads those of 1 GB.
"""

from __future__ import annotations

import pytest

from benchmarks.reliability.fuzzing import oversized as giants
from benchmarks.reliability.fuzzing.harness import one_case
from benchmarks.reliability.fuzzing.oversized import GIANTS, run_giant
from benchmarks.reliability.fuzzing.readers import READERS
from tests.benchmarks.conftest import start

SIZE = 6_000_000
ACCEPTED = {'check-dataset-line'}  # with its findings
SLOW = {'yaml-full'}  # as large as such a file may be: 20 s


@pytest.mark.parametrize('name', sorted(GIANTS.keys() - SLOW))
def test_a_giant_is_answered_in_one_line(name):
    giant = GIANTS[name]
    files = {**giants.other_files(), giant.name: b''.join(giant.pieces(SIZE))}
    reader = READERS[giant.reader]
    assert one_case(reader, files) is (name in ACCEPTED)


def test_memory_and_time_are_measured_in_a_process_of_its_own(monkeypatch):
    row = run_giant('coco-line', size=50_000_000)
    assert row.passed and row.said.startswith('refused: ') and "no list 'images'" in row.said
    assert 48 < row.file_mb < 52 and 100 < row.peak_mb < row.bound_mb < 1000
    monkeypatch.setattr(giants, 'BASE_MB', -1000)
    assert not run_giant('coco-deep', size=1).passed


def test_script():
    done = start('reliability.fuzz_readers', '--giants', 'yaml-merges', '--size-mb', 1)
    assert done.status == 0, done.err
    head, row = filter(str.strip, done.out.splitlines())
    assert head.startswith('giant') and 'yaml-merges' in row
    # Which of both depends on PyYAML: 6.0.4 merges a key once.
    assert 'over 100,000 keys' in row or "refused: /x.yaml: class 'y' is in two groups" in row
