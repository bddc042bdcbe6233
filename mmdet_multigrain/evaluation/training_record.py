"""What a run was trained as, as plain values: kept in checkpoints and results, and compared.

Only what changes the meaning of weights but not their shapes belongs in it: shapes speak for
themselves. `engine.checkpoint.training_record` makes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.messages import show

_QUIET = ('box_means', 'box_stds')

# Facts by name, by name of the module.
TrainingRecord = Mapping[str, Mapping[str, Any]]


def record_difference(there: TrainingRecord, here: TrainingRecord, *, places: str) -> str | None:
    """The first fact that differs, in words with both values; None if all agree.

    Facts that only one side has do not count. `places` says what the two are of, such as '{there}
    in the checkpoint but {here} in the config'.
    """
    for module, facts in here.items():
        for name, value in facts.items():
            other = there.get(module, {}).get(name, value)
            if name.endswith('taxonomy'):
                difference = group_difference(_taxonomy(other), _taxonomy(value), places=places)
                if difference is not None:
                    return f'in {module}, {difference}'
            elif other != value:
                return f'{module}.{name} is {places.format(there=show(other), here=show(value))}'
    return None


def group_difference(there: Taxonomy, here: Taxonomy, *, places: str) -> str | None:
    """The first class that two taxonomies of the same classes group differently, in words.

    Names of groups do not count: a head knows groups by number. Arguments as in
    `record_difference`.
    """
    if there.num_levels != here.num_levels:
        levels = {'there': f'{there.num_levels} levels', 'here': here.num_levels}
        return f'there are {places.format(**levels)}'
    for level in range(here.num_levels - 1):
        pairs = zip(there.group_index(level), here.group_index(level), strict=True)
        for label, (other, own) in enumerate(pairs):
            if other != own:
                place = places.format(
                    there=f'{other} ({there.superclass_of(label, level)!r})',
                    here=f'{own} ({here.superclass_of(label, level)!r})',
                )
                return f'{here.classes[label]!r} is in group {place}'
    return None


def record_text(record: TrainingRecord | None) -> str:
    """The box heads of a record, in words; empty for none."""
    texts = []
    for facts in (record or {}).values():
        if 'type' not in facts:
            continue
        facts = {
            name: _taxonomy(value).name if name.endswith('taxonomy') else value
            for name, value in facts.items()
            if name not in _QUIET
        }
        kind = facts.pop('type')
        values = ', '.join(f'{name}={show(value)}' for name, value in facts.items())
        texts.append(f'{kind}({values})')
    return '; '.join(dict.fromkeys(texts))


def _taxonomy(mapping: Mapping[str, Any]) -> Taxonomy:
    return Taxonomy.from_mapping(mapping, allow_one_group=True)
