"""What a COCO file tells in another way than it should: read where there is one reading only."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import Any

import numpy as np

from mmdet_multigrain.coco.columns import MAX_COORDINATE, id_key, is_number

from .data import CocoData
from .layout import CORNERS

Done = Counter[tuple[str, str]]  # how often what was done, by (what, to what)
RECOMPUTED = 'recomputed'  # what is done to a box that is told otherwise
MAX_DIGITS = 19  # of an id; a longer one is no 64-bit number
DECIMALS = 6  # of a difference between two coordinates

_NUMBER = re.compile(r'\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*', re.ASCII)
_SEPARATORS = re.compile(r'[\s,;]+')
_SIDES = (('x', 'y', 'width', 'height'), ('x', 'y', 'w', 'h'), ('left', 'top', 'width', 'height'))
_ENDS = (('xmin', 'ymin', 'xmax', 'ymax'), ('x1', 'y1', 'x2', 'y2'))


def as_number(value: Any) -> Any:
    """The number that a text holds; anything else as it is."""
    if not (isinstance(value, str) and _NUMBER.fullmatch(value)):
        return value
    if value.strip().isdigit() and len(value) < MAX_DIGITS:
        return int(value)
    number = float(value)
    return int(number) if number.is_integer() else number


def read_box(bbox: Any) -> list[float] | None:
    """x, y, width, height of a box written as text or by names; None if it is not that."""
    if isinstance(bbox, dict):
        for keys in _SIDES + _ENDS:
            if all(key in bbox for key in keys):
                box = read_box([bbox[key] for key in keys])
                return _from_corners(box) if box and keys in _ENDS else box
        return None
    numbers = list(map(as_number, _items(bbox)))
    return numbers if len(numbers) == 4 and all(map(_is_coordinate, numbers)) else None


def is_unclear(bbox: Any) -> bool:
    """Whether a box holds four numbers or more, but nothing tells which are meant."""
    if read_box(bbox) is not None:
        return False
    values = list(bbox.values()) if isinstance(bbox, dict) else _items(bbox)
    return sum(_is_coordinate(as_number(value)) for value in values) >= 4


def recover(data: CocoData, done: Done) -> dict[str, Any]:
    """The content with numbers, references and boxes as COCO writes them, each change counted."""
    images = [_with_numbers(image, ('width', 'height'), done) for image in data.images]
    annotations, corners = [], data.layouts == CORNERS
    ids = {'image_id': _ids_by_text(data.images), 'category_id': _ids_by_text(data.categories)}
    for row, item in enumerate(data.annotations):
        new = _with_numbers(item, ('area', 'iscrowd'), done)
        for key, by_text in ids.items():
            new = _referring(new, key, by_text, done)
        box, reason = _box(data, row, corners[row])
        if reason:
            done[RECOMPUTED, reason] += 1
            new = new | {'bbox': box}
        annotations.append(new)
    return data.with_lists(images=images, annotations=annotations)


def _box(data: CocoData, row: int, is_corners: bool) -> tuple[list[float] | None, str]:
    """The box that an annotation means, and how that is known if `bbox` is another."""
    bbox = data.annotations[row].get('bbox')
    if is_corners:
        return _from_corners(bbox), "boxes that 'area' or mask tells to be corners"
    if data.usable[row]:
        return bbox, ''
    box = read_box(bbox)
    if box and min(box[2:]) > 0:
        return box, 'boxes with numbers written as text or by name'
    if np.isfinite(data.outlines[row, 0]):
        mask = [int(v) if v.is_integer() else v for v in data.outlines[row].tolist()]
        return _from_corners(mask), 'boxes that only their mask tells'
    if box and all(box[2:]):
        x, y, width, height = box
        flipped = [min(x, x + width), min(y, y + height), abs(width), abs(height)]
        return flipped, 'boxes with a negative width or height'
    return None, ''


def _from_corners(box: list[float]) -> list[float]:
    x1, y1, x2, y2 = box
    return [x1, y1, *(round(side, DECIMALS) for side in (x2 - x1, y2 - y1))]


def _items(bbox: Any) -> list[Any]:
    if isinstance(bbox, str):
        return _SEPARATORS.split(bbox.strip('[]() \t\n'))
    if isinstance(bbox, list) and len(bbox) == 1 and isinstance(bbox[0], list):
        return bbox[0]
    return bbox if isinstance(bbox, list) else []


def _is_coordinate(value: Any) -> bool:
    return is_number(value) and abs(value) <= MAX_COORDINATE


def _with_numbers(entry: dict[str, Any], keys: tuple[str, ...], done: Done) -> dict[str, Any]:
    """The entry with numbers for texts."""
    for key in keys:
        number = as_number(entry.get(key)) if isinstance(entry.get(key), str) else ''
        if not isinstance(number, str) and (key != 'iscrowd' or number in (0, 1)):
            done['corrected', f"'{key}' written as text"] += 1
            entry = entry | {key: number}
    return entry


def _ids_by_text(entries: list[dict[str, Any]]) -> dict[str, set[Any]]:
    """Ids by how they read as text."""
    by_text = defaultdict(set)
    for entry in entries:
        if (key := id_key(entry.get('id'))) is not None:
            by_text[_as_text(key)].add(key)
    return by_text


def _referring(
    item: dict[str, Any], key: str, by_text: dict[str, set[Any]], done: Done
) -> dict[str, Any]:
    """The annotation with the one id that its reference reads like."""
    value = id_key(item.get(key))
    same = by_text.get(_as_text(value), ()) if value is not None else ()
    if value in same or len(same) != 1:
        return item
    done['corrected', f"'{key}' that is a text for a number, or the reverse"] += 1
    return item | {key: min(same)}


def _as_text(key: int | float | str) -> str:
    """Equal for 7, 7.0, '7' and '007'."""
    number = as_number(key)
    is_whole = isinstance(number, int) or isinstance(number, float) and number.is_integer()
    return f'#{int(number):x}' if is_whole else str(number)  # Python limits decimals in length
