"""Weights-only loading for torch before 2.6, whose own loader takes no names from us.

It also hands archives on: TorchScript to `torch.jit.load`, tar files to `tarfile` (CVE-2025-32434).
Here both are refused, as torch does from 2.6 on.
"""

from __future__ import annotations

import contextlib
import pickle
from _codecs import encode
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import torch
from torch import serialization

# Instructions of a pickle that only move data; those that call something are methods below.
_PLAIN = (
    'PROTO STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE '
    'SHORT_BINSTRING EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST EMPTY_DICT EMPTY_SET '
    'BINGET LONG_BINGET BINPUT LONG_BINPUT GLOBAL'
).split()
_PLAIN_CODES = [getattr(pickle, name)[0] for name in _PLAIN]
# On torch's list from 2.6 on.
_MORE = {
    'collections.Counter': Counter,
    '_codecs.encode': encode,
    'builtins.bytearray': bytearray,
    'builtins.complex': complex,
    'builtins.set': set,
    'torch.device': torch.device,
}


class _Instructions(dict):
    def __missing__(self, code: int) -> Callable:
        raise pickle.UnpicklingError(f'unsupported operand {code}')


# The standard library's implementation in Python: the one in C has no instructions to leave out.
class RestrictedUnpickler(pickle._Unpickler):
    """Unpickle what torch's weights-only loader does: plain data, and what is on a list.

    A file may name and call what is in `names` (`module.name`). For anything else it raises
    UnpicklingError.
    """

    names: Mapping[str, Any] = {}
    dispatch = _Instructions({code: pickle._Unpickler.dispatch[code] for code in _PLAIN_CODES})

    def find_class(self, module: str, name: str) -> Any:
        """What a name stands for; files of Python 2 have some old ones."""
        old = NAME_MAPPING.get((module, name))
        module, name = old or (IMPORT_MAPPING.get(module, module), name)
        path = f'{module}.{name}'
        if path not in self.names:
            raise pickle.UnpicklingError(f'the file asks for {path}')
        return self.names[path]

    def _check(self, item: Any, is_fit: bool = True) -> None:
        """Refuse what is not on the list; by identity, since equality is the file's to define."""
        if not is_fit or not any(item is known for known in self.names.values()):
            name = getattr(item, '__qualname__', type(item).__qualname__)
            raise pickle.UnpicklingError(f'the file asks for {name}')

    def _reduce(self) -> None:
        arguments = self.stack.pop()
        function = self.stack[-1]
        self._check(function)
        self.stack[-1] = function(*arguments)

    def _new(self) -> None:
        arguments = self.stack.pop()
        kind = self.stack.pop()
        self._check(kind, isinstance(kind, type))
        self.append(kind.__new__(kind, *arguments))

    def _build(self) -> None:
        state = self.stack.pop()
        made = self.stack[-1]
        self._check(type(made), not isinstance(made, torch.Tensor))
        if hasattr(made, '__setstate__'):
            made.__setstate__(state)
        else:
            vars(made).update(state)

    def _append(self) -> None:
        item = self.stack.pop()
        self._target(list).append(item)

    def _extend(self) -> None:
        items = self.pop_mark()
        self._target(list).extend(items)

    def _set_item(self) -> None:
        value = self.stack.pop()
        key = self.stack.pop()
        self._target(dict, OrderedDict, Counter)[key] = value

    def _set_items(self) -> None:
        items = self.pop_mark()
        target = self._target(dict, OrderedDict, Counter)
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[key] = value

    def _target(self, *kinds: type) -> Any:
        target = self.stack[-1]
        if type(target) not in kinds:
            raise pickle.UnpicklingError(f'the file asks for items in {type(target).__qualname__}')
        return target

    def _persistent(self) -> None:
        part = self.stack.pop()
        if not (type(part) is tuple and part and part[0] in ('storage', b'storage')):
            raise pickle.UnpicklingError('the file asks for a part that is not a storage')
        self.append(self.persistent_load(part))

    dispatch |= {
        pickle.REDUCE[0]: _reduce,
        pickle.NEWOBJ[0]: _new,
        pickle.BUILD[0]: _build,
        pickle.APPEND[0]: _append,
        pickle.APPENDS[0]: _extend,
        pickle.SETITEM[0]: _set_item,
        pickle.SETITEMS[0]: _set_items,
        pickle.BINPERSID[0]: _persistent,
    }


@contextlib.contextmanager
def restricted(names: Mapping[str, Any]) -> Iterator[None]:
    """Let `RestrictedUnpickler` be torch's weights-only loader within this block.

    Files may name what is in `names`, and what is on torch's own list.
    """
    kind = type('Unpickler', (RestrictedUnpickler,), dict(names={**_torch_names(), **names}))
    loader = dict(Unpickler=kind, load=lambda file, **options: kind(file, **options).load())
    own = serialization._weights_only_unpickler
    changes = dict(
        _weights_only_unpickler=SimpleNamespace(**{**vars(own), **loader}),
        _is_torchscript_zip=_refuse_script,
        _should_read_directly=lambda file: False,  # tar files are read so, and no others
    )
    before = {name: getattr(serialization, name) for name in changes}
    try:
        for name, value in changes.items():
            setattr(serialization, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(serialization, name, value)


def _refuse_script(zip_file: Any) -> bool:
    if 'constants.pkl' in zip_file.get_all_records():
        raise pickle.UnpicklingError('the file asks for TorchScript')
    return False


def _torch_names() -> dict[str, Any]:
    """Torch's own list, with what newer versions have on theirs."""
    dtypes = {str(value): value for value in vars(torch).values() if isinstance(value, torch.dtype)}
    own = torch._weights_only_unpickler._get_allowed_globals()
    return {**own, **dtypes, **_MORE}
