"""benchmarks.reliability.long_run: what counts as growth, and one short run."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.reliability import long_run
from benchmarks.reliability.trend import trend

STEPS = np.arange(510, 2001, 10)
LIMIT = 2.0  # MB per 1,000 iterations


def wandering(seed, size=1.0):
    """Noise whose neighbors are alike, as memory has it."""
    noise = np.random.default_rng(seed).normal(size=len(STEPS))
    for place in range(1, len(noise)):
        noise[place] += 0.7 * noise[place - 1]
    return 400 + size * noise


def test_a_line_is_found_exactly():
    found = trend(STEPS, 3 + STEPS * 0.005)
    assert (found.slope, found.low, found.high) == pytest.approx((5, 5, 5))
    assert found.verdict(LIMIT) == 'growth' and found.verdict(6) == 'none'


@pytest.mark.parametrize('seed', range(5))
def test_noise_is_no_growth_and_a_leak_is(seed):
    assert trend(STEPS, wandering(seed, 0.3)).verdict(LIMIT) == 'none'
    leak = wandering(seed, 0.3) + STEPS * 0.005  # 5 kB for each iteration
    assert trend(STEPS, leak).verdict(LIMIT) == 'growth'


def test_where_noise_hides_a_leak_it_is_said():
    assert trend(STEPS, wandering(0, 30)).verdict(LIMIT) == 'undecided'


def test_peaks_do_not_matter():
    values = wandering(1, 0.3)
    values[100:110] += 300
    assert trend(STEPS, values).verdict(LIMIT) == 'none'


def test_too_few_samples():
    with pytest.raises(ValueError, match='3 samples are too few'):
        trend([1, 2, 3], [1, 2, 3])


def test_the_interval_covers_the_slope_mostly():
    covered = 0
    for seed in range(10):
        found = trend(STEPS[::3], wandering(seed)[::3] + 3 * STEPS[::3] / 1000)
        covered += found.low <= 3 <= found.high
    assert covered >= 8


def samples(**values):
    """Samples of 80 iterations at which nothing changes but what is given."""
    still = dict(
        heap_mb=180.0, blocks=1700.0, main_mb=300.0, all_mb=400.0, files=70, threads=5, children=2
    )
    return [
        long_run.Sample(
            iteration,
            **{
                key: values.get(key, lambda _, value=value: value)(iteration)
                for key, value in still.items()
            },
        )
        for iteration in range(1, 81)
    ]


def grown(**values):
    return [
        line.split('  ')[0] for line, is_good in long_run.judge(samples(**values)) if not is_good
    ]


def test_what_grows_is_named():
    assert grown() == []
    assert grown(heap_mb=lambda step: 180 + step / 1000) == ['allocated, MB']
    assert grown(heap_mb=lambda step: 180 + step / 5000) == []  # logged values
    assert grown(blocks=lambda step: 1700 + step / 100) == ['Python blocks, 1,000']
    assert grown(main_mb=lambda step: 300 + step / 100) == ['main process, MB']
    assert grown(all_mb=lambda step: 400 + step / 100) == ['all processes, MB']
    assert grown(files=lambda step: 70 + step // 20) == ['open files']
    assert grown(threads=lambda step: 5 + (step > 60), children=lambda step: 2 + (step > 79)) == [
        'threads',
        'child processes',
    ]


def test_what_comes_and_goes_or_comes_once_is_no_growth():
    assert grown(files=lambda step: 70 + (step % 20 == 0)) == []
    assert (
        grown(files=lambda step: 70 + 9 * (step > 15), main_mb=lambda step: 300 + 90 * (step > 18))
        == []
    )  # within the warm-up


def numbers_of(program):
    """What a program prints that can import what this process can."""
    paths = [path for path in sys.path if path]
    done = subprocess.run(
        [sys.executable, '-c', program],
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(paths), 'MALLOC_ARENA_MAX': '1'},
    )
    return [float(word) for word in done.stdout.split()]


# In a separate process: pages that other children share would move between their shares.
SHARED_PAGES = """
import os, subprocess
from benchmarks.reliability.long_run import own_mb

held = bytearray(b'x') * 100_000_000
alone = own_mb(os.getpid())
child = subprocess.Popen(['sleep', '60'])
small = own_mb(child.pid)
child.kill()
child.wait()
read, write = os.pipe()
pid = os.fork()
if not pid:  # holds the same pages
    os.read(read, 1)
    os._exit(0)
both = own_mb(os.getpid()) + own_mb(pid)
os.write(write, b'x')
os.waitpid(pid, 0)
del held
print(alone, small, both, own_mb(os.getpid()))
"""


def test_memory_of_a_process_and_its_child_is_counted_once():
    alone, small, both, after = numbers_of(SHARED_PAGES)
    assert small < 5
    assert abs(both - alone) < 20
    assert alone - after > 90


def test_what_is_allocated_and_what_is_freed():
    # In a separate process: it loads MMDetection, and counts only what it allocates itself.
    program = (
        'from benchmarks.reliability import heap_probe; import numpy; before = heap_probe.heap_mb()\n'
        'held = [numpy.ones(1000) for _ in range(10_000)]; most = heap_probe.heap_mb()\n'
        'del held; print(most - before, heap_probe.heap_mb() - before)'
    )
    held, freed = numbers_of(program)[-2:]
    assert 80 < held < 90 and abs(freed) < 1


def short_run(tmp_path, *arguments):
    out = io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(io.StringIO()),
        pytest.raises(SystemExit) as stopped,
    ):
        long_run.main(
            [
                *arguments,
                '--iterations',
                '12',
                '--every',
                '1',
                '--out',
                str(tmp_path / 'samples.json'),
            ]
        )
    return stopped.value.code, out.getvalue()


@pytest.mark.long
def test_a_short_run(tmp_path, monkeypatch):
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    # It is all warm-up: memory still grows.
    monkeypatch.setattr(
        long_run, 'MEMORY', {key: (title, 1e9) for key, (title, _) in long_run.MEMORY.items()}
    )
    status, screen = short_run(tmp_path)
    assert status == 0 and 'left at the end: nothing\npassed' in screen
    rows = json.loads((tmp_path / 'samples.json').read_text())['samples']
    assert [row['iteration'] for row in rows] == [*range(1, 13)]
    assert all(row['children'] == 2 and row['main_mb'] > 50 for row in rows)
    assert all(row['main_mb'] > row['heap_mb'] > 20 for row in rows[1:])


def test_a_run_that_fails(monkeypatch):
    monkeypatch.setattr(long_run, 'BASE', 'no/such.py')
    with pytest.raises(ValueError, match='the run failed: error: .*no/such.py'):
        long_run.main(['--iterations', '2'])
