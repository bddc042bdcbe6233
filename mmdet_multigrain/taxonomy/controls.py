"""Other groups of the same classes: controls that tell whether the given groups matter."""

from __future__ import annotations

import random

from mmdet_multigrain.utils.errors import TaxonomyError
from mmdet_multigrain.utils.messages import show

from .names import OBJECT
from .taxonomy import Taxonomy

ONE_GROUP = 'everything'
_SEEDS = {f'random_{seed}': seed for seed in (1, 2, 3)}
CONTROLS = (*_SEEDS, 'identity', 'one_group')


def controls(taxonomy: Taxonomy) -> dict[str, Taxonomy]:
    """What to train next to a taxonomy, by the names in `CONTROLS`.

    Raises:
        TaxonomyError: It has no groups, a single one, or several trees.
    """
    if taxonomy.trees:
        raise TaxonomyError(
            f'taxonomy {show(taxonomy.name)} has {len(taxonomy.trees)} trees, and controls are groups '
            'of one; write each tree as groups in a file of its own'
        )
    if taxonomy.is_ungrouped or taxonomy.has_one_group:
        raise TaxonomyError(
            f'taxonomy {show(taxonomy.name)} has no groups that controls could be compared with; '
            'take one with two groups or more'
        )
    return {
        **{name: random_groups(taxonomy, seed=seed) for name, seed in _SEEDS.items()},
        'identity': _regrouped(taxonomy, 'identity', [()] * taxonomy.num_classes),
        'one_group': one_group(taxonomy),
    }


def random_groups(taxonomy: Taxonomy, *, seed: int) -> Taxonomy:
    """A tree of the same shape, so groups of the same sizes, with classes drawn at random."""
    coarse = range(taxonomy.num_levels - 1)
    places = sorted(zip(*map(taxonomy.group_index, coarse), taxonomy.paths, strict=True))
    paths = [()] * taxonomy.num_classes
    drawn = random.Random(seed).sample(range(taxonomy.num_classes), taxonomy.num_classes)
    for label, (*groups, path) in zip(drawn, places, strict=True):
        numbers = [str(group + 1) for group in groups[: len(path)]]
        paths[label] = tuple(f'random {".".join(numbers[: n + 1])}' for n in range(len(path)))
    return _regrouped(taxonomy, f'random {seed}', paths)


def one_group(taxonomy: Taxonomy) -> Taxonomy:
    """All classes in one group, at every coarse level."""
    path = (ONE_GROUP,) * max(1, taxonomy.num_levels - 1)
    return _regrouped(taxonomy, 'one group', [path] * taxonomy.num_classes)


def _regrouped(taxonomy: Taxonomy, what: str, paths: list[tuple[str, ...]]) -> Taxonomy:
    return Taxonomy(
        f'{taxonomy.name} ({what})',
        taxonomy.classes,
        paths,
        # "object" is in all groups alike.
        aliases={name: taxonomy.aliases.get(name, ()) for name in (*taxonomy.classes, OBJECT)},
        num_levels=max(2, taxonomy.num_levels),
        allow_one_group=True,
    )
