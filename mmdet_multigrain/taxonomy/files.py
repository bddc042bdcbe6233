"""Reading a file whole, with one line for whatever goes wrong."""

from __future__ import annotations

import os

from .errors import TaxonomyError


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The content of a file."""
    try:
        with open(path, 'rb') as file:
            return file.read()
    except FileNotFoundError:
        raise TaxonomyError('no such file; check the path') from None
    except IsADirectoryError:
        raise TaxonomyError('this is a folder; name a file in it') from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = getattr(error, 'strerror', None) or error
        raise TaxonomyError(f'cannot be read ({reason}); check the path') from None
