"""Which results may be compared: same sources, recipe, data and device, or a proof of equality.

An equality record is a JSON file `equal/*.json` next to the results: `digests`, two digests of
sources, and `run`, the name of a run whose packed detections came out equal from both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

from mmdet_multigrain.utils.errors import MultigrainError
from mmdet_multigrain.utils.files import dump_json, load_json, write_whole

from .plan import Experiment, Run
from .results import source_digest


class ComparisonError(MultigrainError):
    """Results that may not be compared."""


def equal_digests(folder: Path) -> list[set[str]]:
    """Sets of digests that equality records say agree.

    Args:
        folder: Of an experiment's results.
    """
    sets: list[set[str]] = []
    for path in sorted((folder / 'equal').glob('*.json')):
        merged = set(load_json(path)['digests'])
        for other in [known for known in sets if known & merged]:
            sets.remove(other)
            merged |= other
        sets.append(merged)
    return sets


def write_equality(one: Mapping[str, Any], other: Mapping[str, Any], folder: Path) -> Path:
    """Record that the sources of two results of one run give the same detections.

    Raises:
        ComparisonError: The results differ.
    """
    for key in ('variant', 'replicate', 'recipe', 'data', 'device', 'detections', 'scores'):
        if one[key] != other[key]:
            raise ComparisonError(f'the two results of {one["variant"]} differ in {key}')
    path = folder / 'equal' / f'{one["digest"][:12]}-{other["digest"][:12]}.json'
    record = dict(
        digests=[one['digest'], other['digest']],
        commits=[one['commit'], other['commit']],
        run=Run(one['experiment'], one['variant'], one['replicate'], one.get('fold', 0)).name,
    )
    write_whole(path, dump_json(record) + b'\n')
    return path


def check_addition(
    experiment: Experiment,
    results: Iterable[Mapping[str, Any]],
    *,
    tree: Path,
    device: str,
    folder: Path,
) -> None:
    """Refuse to add results to others that they could not be compared with.

    Args:
        experiment: The experiment.
        results: Those that are there.
        tree: Checkout that the new ones will come from.
        device: That they will be made on.
        folder: Of the result files.

    Raises:
        ComparisonError: Sources, device, half of the photos or the recipe of a variant differ.
    """
    results, half = list(results), experiment.data.get('half')
    _check_agree({source_digest(tree), *(result['digest'] for result in results)}, folder)
    for result in results:
        wanted = dict(device=device, recipe=experiment.recipe(result['variant']), half=half)
        for key, value in wanted.items():
            if result.get(key, value) != value:  # the first results do not tell their half
                raise ComparisonError(f'{folder} has a {result["variant"]} of another {key}')


def check_comparable(results: Iterable[Mapping[str, Any]], folder: Path) -> None:
    """Refuse to compare results that differ in more than variant and replicate.

    Args:
        results: Of one experiment.
        folder: Of its result files.

    Raises:
        ComparisonError: They differ in sources, device or packing; those of a variant in their
            recipe; those of a replicate in their data.
    """
    results = list(results)
    _check_agree({result['digest'] for result in results}, folder)
    # What has to be equal, and among which results.
    shared = {
        'device': lambda result: 'all',
        'recipe': itemgetter('variant'),
        'packing': _classes,
        'data': _replicate,
    }
    for key, owner in shared.items():
        first: dict[Any, Any] = {}
        for result in results:
            value = _packing(result) if key == 'packing' else result[key]
            if first.setdefault(owner(result), value) != value:
                raise ComparisonError(f'results of {owner(result)} differ in {key}')


def _packing(result: Mapping[str, Any]) -> list[Any]:
    return [result['detections'][key] for key in ('box_step', 'score_step', 'limits')]


def _classes(result: Mapping[str, Any]) -> str:
    """What was detected: a class that is held out has no detections."""
    recipe = result['recipe']
    held_out = '' if recipe.get('shots', 1) else f' without {recipe["held_out"]}'
    return f'{result["labels"]}{held_out}{_fold(result)}'


def _replicate(result: Mapping[str, Any]) -> str:
    return f'replicate {result["replicate"]}{_fold(result)}'


def _fold(result: Mapping[str, Any]) -> str:
    return f', fold {result["fold"]}' if 'fold' in result else ''


def _check_agree(digests: set[str], folder: Path) -> None:
    if len(digests) > 1 and not any(digests <= known for known in equal_digests(folder)):
        raise ComparisonError(
            f'results of {len(digests)} different sources '
            f'({", ".join(sorted(digest[:12] for digest in digests))}) may not be compared; '
            f'{folder}/equal has no record that they give the same detections'
        )
