"""Parts of a config under keys of their own, merged into it when a run is built.

MMEngine refuses two bases that set the same entry, so detector, loss and order of training cannot
be three lines of `_base_`. Each file in configs/_base_/compositions therefore sets one key.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config

from mmdet_multigrain.utils.errors import ConfigError

#: The keys, in the order in which they are merged.
COMPOSITIONS = ('mask', 'cascade', 'seesaw', 'norcal', 'repeat', 'class_aware')
_DELETE, _GET, _OF = '_delete_', '_get_', '_of_'


def merge_compositions(cfg: Config) -> None:
    """Merge the compositions that a config has into it, in place, and drop their keys.

    Each is merged as a child config would be: dicts entry by entry, everything else replaced,
    and nothing kept below `_delete_=True`. In addition:

    - A list of dicts merged into a dict makes one copy of it for each of them. A dict merged into a
      list is merged into each of its entries.
    - `_of_='TYPE'`: only into entries of that type; at least one has to be there.
    - `_get_='PLACE'`: into a copy of what the config has at that dotted place.

    Raises:
        ConfigError: A key is not a dict, nothing is at `_get_`, or no entry has the type `_of_`.
    """
    for key in COMPOSITIONS:
        part = cfg.pop(key, None)
        if part and not isinstance(part, Mapping):
            raise ConfigError(
                f'{key}={part!r}: not a dict of entries; add a base for it: '
                f'_base_/compositions/{key}.py'
            )
        if part:
            merge = _Merge(key, whole=cfg.to_dict())
            for name, value in part.to_dict().items():
                cfg[name] = merge.merged(merge.whole.get(name), value, place=name)


@dataclass(frozen=True)
class _Merge:
    """One composition, and the config before it, which stays as it is."""

    key: str
    whole: dict[str, Any]

    def merged(self, own: Any, part: Any, *, place: str) -> Any:
        """What becomes of an entry of the config."""
        if isinstance(part, Mapping):
            return self._with_dict(own, dict(part), place=place)
        if isinstance(own, Mapping) and _are_dicts(part):
            return [self.merged(own, one, place=place) for one in part]
        return copy.deepcopy(part)

    def _with_dict(self, own: Any, part: dict[str, Any], *, place: str) -> Any:
        is_new, source, kind = (part.pop(marker, None) for marker in (_DELETE, _GET, _OF))
        if source is not None:
            own = self._at(source)
            if not part:
                return copy.deepcopy(own)
        elif is_new:
            own = None
        if kind is not None:
            self._check_type(own, kind, place=place)
        if _are_dicts(own):
            into = [kind in (None, _type(one)) for one in own]
            return [
                self._with_dict(one, part, place=place) if fits else copy.deepcopy(one)
                for one, fits in zip(own, into, strict=True)
            ]
        result = copy.deepcopy(own) if isinstance(own, Mapping) else {}
        for name, value in part.items():
            result[name] = self.merged(result.get(name), value, place=f'{place}.{name}')
        return result

    def _at(self, place: str) -> Any:
        found: Any = self.whole
        for step in place.split('.'):
            found = found.get(step) if isinstance(found, Mapping) else None
        if found is None:
            raise ConfigError(f'{self.key}: the config has no {place} to start from')
        return found

    def _check_type(self, own: Any, kind: str, *, place: str) -> None:
        kinds = [_type(one) for one in (own if _are_dicts(own) else [own])]
        if kind not in kinds:
            found = ', '.join(str(one) for one in kinds)
            raise ConfigError(
                f'{self.key}: {place} has no {kind} to change (found: {found}); leave {self.key} out'
            )


def _are_dicts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(one, Mapping) for one in value)


def _type(entry: Any) -> str | None:
    kind = entry.get('type') if isinstance(entry, Mapping) else None
    return getattr(kind, '__name__', kind)
