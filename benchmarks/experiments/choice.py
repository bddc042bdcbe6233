"""Scores tuned without training: what each fusion of a detector's levels gives, and which is chosen."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from .plan import Experiment, Results

OFF = 'off'
ROWS = 3  # fusions of a variant that a table shows, next to none


def condense(content: Mapping[str, Any], measure: str) -> dict[str, Any]:
    """What a result keeps of a sweep.json: each fusion's scores in percent, at the test's limits.

    These are the measure of a set of classes that decides, and AP. A score is None where its classes
    have no boxes.
    """
    chosen, _, metric = measure.rpartition(' ')
    keys = {measure: f'set_{chosen}_{metric}', 'AP': 'AP'}
    limits = next(iter(content['fusions'][0]['numbers']))
    return dict(
        images=content['images'],
        class_counts=content['class_counts'] and content['class_counts']['counts'],
        fusions={
            row['name']: {
                name: None
                if (value := row['numbers'][limits][key]) is None
                else round(100 * value, 2)
                for name, key in keys.items()
            }
            for row in content['fusions']
        },
    )


def choice_table(experiment: Experiment, results: Results) -> str:
    """Means over the replicates: each variant's best fusions and none; empty without any.

    The best fusion is the one with the highest mean of the measure that decides. Replicates whose
    classes have no boxes are left out of that mean, variants without all replicates of the table.
    """
    measures = [experiment.sweep.get('measure', ''), 'AP']
    rows = []
    for variant in experiment.sweep.get('variants', ()):
        own = [results.get((variant, number), {}) for number in experiment.numbers(variant)]
        if not all('sweep' in one for one in own):
            continue  # draws differ by more than fusions: a mean over fewer does not compare
        sweeps = [one['sweep']['fusions'] for one in own]
        means = {
            fusion: [_mean([one[fusion][name] for one in sweeps]) for name in measures]
            for fusion in sweeps[0]
            if all(fusion in one for one in sweeps)
        }
        known = {
            fusion: [-1 if math.isnan(mean) else mean for mean in means[fusion]] for fusion in means
        }
        best = sorted(known, key=lambda fusion: known[fusion], reverse=True)[:ROWS]
        for fusion in dict.fromkeys([OFF, *best]):
            cells = ' | '.join('-' if math.isnan(mean) else f'{mean:.2f}' for mean in means[fusion])
            rows.append(f'| {variant} | {fusion} | {len(sweeps)} | {cells} |')
    head = f'| variant | fusion | replicates | {" | ".join(measures)} |'
    return '\n'.join([head, '|---' * (3 + len(measures)) + '|', *rows]) if rows else ''


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else math.nan
