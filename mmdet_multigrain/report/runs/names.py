"""Short names of variants for tables and figures, without their common suffix."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

from mmdet_multigrain.utils.errors import ReportError
from mmdet_multigrain.utils.messages import did_you_mean, show, show_list

from .run import Run

_SEPARATOR = '_'


def shorten_variants(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Drop the words that all variants end with: `baseline_r18`, `wgroup_r18` lose `_r18`.

    The names stay different and are never empty.
    """
    names = list(dict.fromkeys(run.variant for run in runs))
    short = dict(zip(names, without_common_suffix(names), strict=True))
    renamed = []
    for run in runs:
        variant = short[run.variant]
        name = variant + run.name.removeprefix(run.variant)  # a run's name starts with its variant
        renamed.append(dataclasses.replace(run, variant=variant, name=name))
    return tuple(renamed)


def without_common_suffix(names: Sequence[str]) -> list[str]:
    """Names without the words that all of them end with; a single name stays as it is."""
    words = [name.split(_SEPARATOR) for name in names]
    common = 0
    if len(names) > 1:
        reverse = [name[::-1] for name in words]
        common = min(len(os.path.commonprefix(reverse)), min(map(len, words)) - 1)
    return [_SEPARATOR.join(name[: len(name) - common]) for name in words]


def find_variant(wanted: str, runs: Sequence[Run], short: Sequence[Run]) -> str:
    """The short name of a variant given by its short or full name; `short` are renamed `runs`.

    Raises:
        ReportError: There is no such variant.
    """
    known = {run.variant: other.variant for run, other in zip(runs, short, strict=True)}
    known |= {run.variant: run.variant for run in short}
    if wanted not in known:
        variants = list(dict.fromkeys(run.variant for run in short))
        raise ReportError(
            f'no variant is called {show(wanted)}'
            + did_you_mean(wanted, known, f'there are {show_list(variants)}')
        )
    return known[wanted]
