"""Load a COCO annotation file: the one place where such a file becomes Python objects."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from mmdet_multigrain.utils.errors import AnnotationError, MultigrainError
from mmdet_multigrain.utils.files import load_json

LISTS = ('images', 'annotations', 'categories')


@dataclass(frozen=True)
class CocoFile:
    """A loaded COCO file, whose entries have not been checked.

    Attributes:
        content: The object at its top level.
        not_strict: Why a strict JSON parser refuses the file (NaN, Infinity, ...); else empty.
    """

    content: dict[str, Any]
    not_strict: str


def load_coco(
    path: str | os.PathLike[str], *, error: type[MultigrainError] = AnnotationError
) -> CocoFile:
    """Load a COCO file. NaN is accepted, so that a message can name the entry that holds it.

    Args:
        path: The JSON file (UTF-8, with or without byte-order mark).
        error: What to raise.

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
        raise error(
            f'{path}: not a COCO file: its top level is a {type(content).__name__}, not an '
            'object; name an annotation file'
        )
    return CocoFile(content, not_strict)


def one_line(text: object) -> str:
    """A short message without line breaks."""
    return ' '.join(str(text).split())[:200]
