"""Rounds of functions in fresh processes, and their medians, memory and ratios."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.common.processes import Measured, measure
from benchmarks.common.ratios import in_rounds, paired_ratio
from benchmarks.common.tables import text_table
from mmdet_multigrain.utils.errors import ConfigError

Runs = Mapping[str, list[Measured]]


def measure_in_rounds(functions: Mapping[str, Callable[[], Any]], *, repeats: int) -> Runs:
    """Run all functions once in each round, each time in a fresh process."""
    return in_rounds(
        lambda name, _: measure(functions[name]), functions, repeats=repeats, title='timing'
    )


def check_boxes(runs: Runs) -> int:
    """The number of boxes that all functions found: what they return, or `boxes` of it.

    Raises:
        ConfigError: They differ.
    """
    values = {
        value if isinstance(value, int) else value.boxes.total()
        for value in (run.value for these in runs.values() for run in these)
    }
    if len(values) > 1:
        raise ConfigError(f'baseline and conversion found different numbers of boxes: {values}')
    return values.pop()


def summarize(runs: Runs) -> dict[str, dict[str, float]]:
    """Medians and extremes of the seconds, median processor time, largest memory, by name."""
    return {
        name: {
            'seconds': statistics.median(run.seconds for run in these),
            'min_seconds': min(run.seconds for run in these),
            'max_seconds': max(run.seconds for run in these),
            'cpu_seconds': statistics.median(run.cpu_seconds for run in these),
            'peak_mb': max(run.peak_mb for run in these),
            'peak_child_mb': max(run.peak_child_mb for run in these),
        }
        for name, these in runs.items()
    }


def time_ratio(runs: Runs, name: str, base: str) -> float:
    """Median over the rounds of the seconds of `name` by those of `base`."""
    return paired_ratio(*([run.seconds for run in runs[key]] for key in (name, base))).median


def runs_table(runs: Runs, *, base: str) -> str:
    """A row for each function; the last column compares it with `base`."""
    columns = {'': '', 'seconds': '.2f', 'min': '.2f', 'max': '.2f', 'CPU s': '.2f'}
    columns |= {'peak MB': '.0f', 'per worker': '.0f', f'x {base}': '.2f'}
    rows = (
        (name, *values.values(), time_ratio(runs, name, base))
        for name, values in summarize(runs).items()
    )
    return text_table(columns, rows)
