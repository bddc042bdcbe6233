"""The short tables of an experiment, as in a model zoo: a row for each variant, one for each pair."""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .intervals import Difference
from .plan import GROUP, OBJECT, SUPERCLASS, Experiment, Results, Variant

REPOSITORY = Path(__file__).resolve().parents[2]
# What the labels of a flat detector are to others.
PROTOCOLS = dict(superclasses=(SUPERCLASS, GROUP), object=(OBJECT,))


def model_table(experiment: Experiment, results: Results, page: Path) -> str:
    """Each variant with its config, what it changes, the means of its scores, and its minutes.

    Args:
        experiment: The experiment.
        results: Its results.
        page: The file with the table, for the links.
    """
    own = experiment.all_measures
    own += [f'{name} AP50' for name in experiment.class_sets]
    columns = list(dict.fromkeys([*own, 'AP50', 'AP', 'superclass AP50']))
    head = ['variant', 'with', 'replicates', *columns, 'minutes']
    lines = [f'| {" | ".join(head)} |', '|---' * len(head) + '|']
    for variant in experiment.variants:
        found = {number: one for (name, number), one in results.items() if name == variant.name}
        if found:
            config = os.path.relpath(REPOSITORY / variant.config, page.resolve().parent)
            cells = [
                f'[{variant.name}]({config})',
                changes_text(experiment, variant),
                _numbers(sorted(found)),
                *(_mean([_score(one, column) for one in found.values()]) for column in columns),
                f'{statistics.median(one["minutes"] for one in found.values()):.0f}',
            ]
            lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines)


def changes_text(experiment: Experiment, variant: Variant) -> str:
    """What a variant has besides its config and the recipe of the experiment, in a few words."""
    parts = []
    if variant.coarse:
        parts.append(
            f'{variant.coarse:.0%} of boxes {"left out" if variant.drop_coarse else "coarse"}'
        )
    if variant.held_out:
        known = variant.superclass_known
        if variant.shots:
            known = ', known by its superclass,' if known else ''
            parts.append(f'{variant.held_out}{known} added from {variant.shots} boxes')
        else:
            alone = f'{variant.held_out} known by its superclass alone'
            parts.append(alone if known else f'without {variant.held_out}')
    if variant.groups != 'given':
        parts.append(f'groups: {variant.groups}')
    if variant.labels != 'classes':
        parts.append(f'labels: {variant.labels}')
    parts += [
        f'`{".".join(key.split(".")[-2:])}={value}`'
        for key, value in variant.options.items()
        if key not in experiment.options
    ]
    return ', '.join(dict.fromkeys(parts)) or '-'


def pair_table(
    found: Mapping[tuple[str, ...], Difference], primary: str, counts: Mapping[tuple[str, ...], int]
) -> str:
    """Differences of pairs with several replicates: a row for each pair, a column for each measure.

    Args:
        found: Of each comparison; a third name is a measure other than the primary one.
        primary: The primary measure.
        counts: Replicates of each comparison.
    """
    pairs: dict[tuple[str, ...], dict[str, str]] = {}
    for key, one in found.items():
        if one.over_seeds:
            text = f'{one.value:+.2f} ({one.low:+.2f} to {one.high:+.2f})'
            pairs.setdefault(key[:2], {})[key[2] if len(key) > 2 else primary] = text
    columns = list(dict.fromkeys(name for row in pairs.values() for name in row))
    head = ['difference', 'replicates', *columns]
    lines = [f'| {" | ".join(head)} |', '|---' * len(head) + '|']
    for pair, row in pairs.items():
        number = max(count for key, count in counts.items() if key[:2] == pair)
        cells = [' - '.join(pair), str(number), *(row.get(name, '-') for name in columns)]
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines) if pairs else ''


def _numbers(values: Sequence[int]) -> str:
    """`1-3` for successive numbers, else all of them."""
    whole = list(range(values[0], values[-1] + 1))
    if len(whole) > 2 and whole == [*values]:
        return f'{values[0]}-{values[-1]}'
    return ', '.join(map(str, values))


def _score(result: Mapping[str, Any], column: str) -> float | None:
    """A score; the classes of a flat detector are superclasses, or objects."""
    if result['labels'] != 'classes':
        protocol, _, metric = column.rpartition(' ')
        column = metric if protocol in PROTOCOLS[result['labels']] else ''
    return result['scores'].get(column)


def _mean(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f'{statistics.fmean(known):.2f}' if known else '-'
