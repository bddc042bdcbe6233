"""Reading a file whole, with one line for whatever goes wrong."""

from __future__ import annotations

import os

from mmdet_multigrain.utils.errors import TaxonomyError


def read_bytes(path: str | os.PathLike[str], max_bytes: int | None = None) -> bytes:
    """The content of a file.

    Args:
        path: The file.
        max_bytes: Of the largest that is read; default: there is no limit.
    """
    try:
        with open(path, 'rb') as file:
            content = file.read() if max_bytes is None else file.read(max_bytes + 1)
    except FileNotFoundError:
        raise TaxonomyError('no such file; check the path') from None
    except IsADirectoryError:
        raise TaxonomyError('this is a folder; name a file in it') from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = getattr(error, 'strerror', None) or error
        raise TaxonomyError(f'cannot be read ({reason}); check the path') from None
    except MemoryError:
        raise TaxonomyError('cannot be read (there is too little memory)') from None
    if max_bytes is not None and len(content) > max_bytes:
        raise TaxonomyError(
            f'over {max_bytes / 2**20:g} MiB, more than a file of its kind has; check the path'
        )
    return content
