"""Load COCO annotation files; nothing else in the package parses them."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import Any

from mmdet_multigrain.utils.errors import AnnotationError, MultigrainError
from mmdet_multigrain.utils.files import load_json

from .recover import recover

LISTS = ('images', 'annotations', 'categories')


@dataclass(frozen=True)
class CocoFile:
    """A loaded COCO file with unchecked entries."""

    content: dict[str, Any]  # the top-level object
    not_strict: str  # why a strict JSON parser rejects the file (NaN, Infinity, ...), or empty
    recovered: Counter[str]  # how often what was read in another form than COCO's; see `recover`


def load_coco(
    path: str | os.PathLike[str], *, error: type[MultigrainError] = AnnotationError
) -> CocoFile:
    """Load a COCO file. NaN is accepted, so that a later message can name its entry.

    Args:
        path: The JSON file (UTF-8, with or without byte-order mark).
        error: The class of errors.

    Raises:
        AnnotationError: The file cannot be read, is not JSON, or is not an object.
    """
    not_strict = ''
    if '\0' in os.fspath(path):
        raise error(f'{path}: cannot be read (a null character in its name); check the path')
    try:
        try:
            content = load_json(path)
        except ValueError as reason:
            content = load_json(path, allow_nan=True)
            not_strict = one_line(reason)
    except FileNotFoundError:
        raise error(f'{path}: no such annotation file; check the path') from None
    except IsADirectoryError:
        raise error(f'{path}: this is a folder; name a file in it') from None
    except OSError as reason:
        raise error(f'{path}: cannot be read ({reason.strerror})') from None
    except ValueError as reason:
        raise error(f'{path}: not valid JSON ({one_line(reason)}); export it again') from None
    if not isinstance(content, dict):
        found = f'its top level is a {type(content).__name__}, not an object'
        raise error(f'{path}: not a COCO file: {found}; name an annotation file')
    return CocoFile(content, not_strict, recover(content))


def one_line(text: object) -> str:
    """A short message without line breaks."""
    return ' '.join(str(text).split())[:200]
