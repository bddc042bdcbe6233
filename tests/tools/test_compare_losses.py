"""tools/analysis_tools/compare_losses.py on curves made up, and on a run's own log."""

from __future__ import annotations

import json
import math

import pytest

from .conftest import call


def write(folder, losses, start='20260101_000000'):
    path = folder / start / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    lines = [dict(lr=0.1, loss=loss, step=step) for step, loss in losses.items()]
    lines.append({'coco/bbox_mAP': 0.5, 'step': 2})  # of a validation
    path.write_text('\n'.join(map(json.dumps, lines)) + '\n')
    return folder


@pytest.fixture
def runs(tmp_path):
    plain = write(tmp_path / 'plain', {1: 4.0, 2: 3.0, 3: 2.0})
    other = write(tmp_path / 'other', {1: 4.3, 2: 3.4, 4: 0.0})
    return plain, other


def compare(*arguments):
    return call('analysis_tools/compare_losses', *arguments)


def test_within_the_spread_of_seeds(runs, tmp_path):
    fast = write(tmp_path / 'fast', {1: 4.0, 2: 2.9})
    result = compare(*runs, fast)
    assert result.status == 0
    # Iterations 1 and 2 are common: seeds (0.3, 0.4), fast (0, -0.1).
    assert f'{math.sqrt(0.125):.4f} between seeds' in result.out
    assert f'{math.sqrt(0.005):.4f} between plain and fast' in result.out
    assert '2 logged iterations up to 2' in result.out and 'within' in result.out


def test_beyond_the_spread_of_seeds(runs, tmp_path):
    result = compare(*runs, write(tmp_path / 'fast', {1: 4.0, 2: 3.6}))
    assert result.status == 1 and 'beyond the spread' in result.out


def test_a_loss_that_is_no_number_is_beyond(runs, tmp_path):
    fast = write(tmp_path / 'fast', {1: 4.0, 2: float('nan')})
    result = compare(*runs, fast)
    assert result.status == 1 and 'beyond the spread' in result.out
    assert f'{fast}: diverged, its loss is nan at iteration 2' in result.out


@pytest.mark.parametrize('diverged', [0, 1])
def test_nothing_is_compared_with_a_plain_run_that_diverged(runs, tmp_path, diverged):
    plain = [*runs]
    plain[diverged] = write(tmp_path / 'diverged', {1: 4.0, 2: 3.0, 3: math.inf, 4: math.nan})
    fast = write(tmp_path / 'fast', {1: 4.0, 2: 3.1, 3: 2.0, 4: 2.0})
    assert compare(*plain, fast, '--until', 2).err == ''
    common = (4, math.nan) if diverged == 0 else (3, math.inf)
    assert compare(*plain, fast).error() == (
        f'error: {plain[diverged]}: diverged, its loss is {common[1]} at iteration {common[0]}; '
        'compare the iterations before (--until) or another run'
    )


def test_what_was_logged_after_a_resume_counts(runs, tmp_path):
    fast = write(tmp_path / 'fast', {1: 4.0, 2: 9.0})
    write(fast, {2: 3.0}, start='20260101_000001')
    assert '0.0000 between plain and fast' in compare(*runs, fast).out
    assert compare(*runs, fast, '--until', 1).status == 2


def test_the_log_of_a_run_is_read(trained):
    folder = trained.work_dir
    result = compare(folder, folder, folder)
    assert result.status == 0 and '2 logged iterations up to 2' in result.out


def test_errors_are_one_line(runs, tmp_path):
    assert 'no logged losses' in compare(*runs, tmp_path / 'nowhere').error()
    apart = write(tmp_path / 'apart', {7: 1.0, 8: 1.0})
    assert '0 iterations in common' in compare(*runs, apart).error()
    torn = write(tmp_path / 'torn', {1: 4.0})
    path = torn / '20260101_000000' / 'vis_data' / 'scalars.json'
    path.write_text(path.read_text() + '{"loss": 1')
    assert 'line 3 is not JSON' in compare(*runs, torn).error()
    for line, problem in (
        ('5', 'is not an object; take that line out'),
        ('{"loss": 1.0}', 'has no iteration (step) or no number as its loss; take that line out'),
        ('{"loss": null, "step": 1}', 'has no iteration (step) or no number as its loss; take'),
    ):
        path.write_text(line)
        assert f'{path}: line 1 {problem}' in compare(*runs, torn).error()
