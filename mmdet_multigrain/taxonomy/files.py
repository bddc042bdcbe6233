"""Read taxonomy files, built-in and others, with one-line errors."""

from __future__ import annotations

import os
from pathlib import Path

from mmdet_multigrain.utils import files
from mmdet_multigrain.utils.errors import TaxonomyError

BUILTIN = Path(__file__).parent / 'data'  # a YAML file for each built-in taxonomy


def builtin_names() -> tuple[str, ...]:
    """Names of the built-in taxonomies, in alphabetical order."""
    return tuple(sorted(path.stem for path in BUILTIN.glob('*.yaml')))


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
