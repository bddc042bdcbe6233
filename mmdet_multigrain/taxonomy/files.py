"""Reading taxonomy files: the built-in ones, and any other with one line for what goes wrong."""

from __future__ import annotations

import os
from importlib import resources
from typing import TYPE_CHECKING

from mmdet_multigrain.utils import files
from mmdet_multigrain.utils.errors import TaxonomyError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_SUFFIX = '.yaml'


def builtin_names() -> tuple[str, ...]:
    """Names of the built-in taxonomies, in alphabetical order."""
    names = (entry.name for entry in _folder().iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)))


def read_builtin(name: str) -> bytes:
    """The YAML file of a built-in taxonomy."""
    return (_folder() / f'{name}{_SUFFIX}').read_bytes()


def _folder() -> Traversable:
    return resources.files(__package__) / 'data'


def read_bytes(path: str | os.PathLike[str], max_bytes: int | None = None) -> bytes:
    """The content of a file, as `utils.files.read_bytes` reads it.

    Raises:
        TaxonomyError: It cannot be read; without the path, see `error_source`.
    """
    try:
        return files.read_bytes(path, max_bytes)
    except FileNotFoundError:
        raise TaxonomyError('no such file; check the path') from None
    except IsADirectoryError:
        raise TaxonomyError('this is a folder; name a file in it') from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = getattr(error, 'strerror', None) or error
        raise TaxonomyError(f'cannot be read ({reason}); check the path') from None
