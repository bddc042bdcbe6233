"""Load COCO annotation files; nothing else in the package parses them.

What a file says in another form than COCO's is recovered where it can be read in one way only.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from mmdet_multigrain.utils.errors import AnnotationError, MultigrainError
from mmdet_multigrain.utils.files import load_json
from mmdet_multigrain.utils.messages import one_line

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

    Raises:
        AnnotationError: The file cannot be read, is not JSON, or is not an object; or another `error`.
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


def recover(content: dict[str, Any]) -> Counter[str]:
    """Fill in file names from `coco_url`, and turn numeric names into text, in place.

    LVIS names no files: the path below the server is the file name, as MMDetection reads it
    (`val2017/000000000139.jpg`). Fields that can be read in several ways stay as they are.

    Returns:
        How often what was recovered.
    """
    done: Counter[str] = Counter()
    for image in objects(content, 'images'):
        name = _url_path(image.get('coco_url')) if image.get('file_name') is None else ''
        if name:
            image['file_name'] = name
            done["file names taken from 'coco_url'"] += 1
    for category in objects(content, 'categories'):
        for key in ('name', 'supercategory'):
            value = category.get(key)
            if type(value) in (int, float) and value == value:  # NaN says that there is no name
                category[key] = str(value)
                done[f"category fields '{key}' that are numbers, read as text"] += 1
    return done


def objects(content: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects in a list of the content; nothing for its other entries."""
    entries = content.get(name)
    entries = entries if isinstance(entries, list) else ()
    return [entry for entry in entries if isinstance(entry, dict)]


def _url_path(url: object) -> str:
    """The path of a web address, without its leading slash; nothing if it is not one."""
    if not isinstance(url, str):
        return ''
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return ''
    return unquote(parts.path).lstrip('/') if parts.scheme in ('http', 'https') else ''
