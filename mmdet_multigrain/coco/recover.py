"""What annotation files say in another form than COCO's, where it can be read in one way only."""

from __future__ import annotations

from collections import Counter
from typing import Any
from urllib.parse import unquote, urlsplit


def recover(content: dict[str, Any]) -> Counter[str]:
    """Fill in file names from `coco_url`, and turn numeric names into text, in place.

    LVIS names no files: the path below the server is the file name, as MMDetection reads it
    (`val2017/000000000139.jpg`). Fields that can be read in several ways stay as they are.

    Returns:
        How often what was recovered.
    """
    done: Counter[str] = Counter()
    for image in _objects(content.get('images')):
        name = _url_path(image.get('coco_url')) if image.get('file_name') is None else ''
        if name:
            image['file_name'] = name
            done["file names taken from 'coco_url'"] += 1
    for category in _objects(content.get('categories')):
        for key in ('name', 'supercategory'):
            value = category.get(key)
            if type(value) in (int, float) and value == value:  # NaN says that there is no name
                category[key] = str(value)
                done[f"category fields '{key}' that are numbers, read as text"] += 1
    return done


def _objects(entries: object) -> list[dict[str, Any]]:
    if not isinstance(entries, list):
        return []
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
