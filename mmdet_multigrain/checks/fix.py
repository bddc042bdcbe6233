"""A repaired copy of a COCO file: only what is safe, everything counted, the input untouched.

Which rows are to be mended, the checks say; here is what becomes of them. What nothing in the
data decides (ids of several files, boxes drawn for other photos) stays as it is.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmdet_multigrain.utils.errors import CheckError
from mmdet_multigrain.utils.files import dump_json

from . import boxes, ids, images, structure
from .data import CocoData
from .finding import Kind

MAX_PASSES = 10  # one mends what is there, the second as a rule finds nothing; a guard
# Levels of lists and objects. Python's own limit depends on its version and on the caller.
MAX_NESTING = 320
AREA_OF_BOX = 0.01  # closer than this an area is its box's, and follows when that is clipped


@dataclass(frozen=True)
class Fixed:
    """A repaired copy.

    Attributes:
        content: To be written.
        done: How often what was done, by (what, to what).
    """

    content: dict[str, Any]
    done: Counter[tuple[str, str]]

    def encoded(self) -> bytes:
        """The file: strict JSON.

        Raises:
            CheckError: Something in it is nested too deeply to be written.
        """
        with contextlib.suppress(TypeError, ValueError):
            return dump_json(self.content)  # NaN becomes null
        try:  # half surrogates, endless numbers, deeply nested
            return json.dumps(
                _strict(self.content), ensure_ascii=False, allow_nan=False, separators=(',', ':')
            ).encode()
        except RecursionError:
            raise CheckError(
                'not repaired, for something in the file is nested too deeply; leave it out'
            ) from None


def repair(data: CocoData) -> Fixed:
    """Mend what can be mended without a guess.

    Raises:
        CheckError: Nothing is safe (boxes in another layout), or nothing would be left.
    """
    done: Counter[tuple[str, str]] = Counter()
    if data.not_strict:
        done['replaced', structure.NOT_STRICT.title] += 1
    before = [len(data.images), len(data.annotations)]
    for _ in range(MAX_PASSES):
        if data.layout != 'xywh':
            kind = boxes.CORNERS if data.layout == 'corners' else boxes.NORMALIZED
            raise CheckError(
                f'{data.path}: not repaired, for it has {kind.title}; first {kind.mend}'
            )
        new: Counter[tuple[str, str]] = Counter()
        for step in (
            _drop_strangers,
            _mend_images,
            _mend_categories,
            _mend_boxes,
            _drop_duplicates,
            _fill_fields,
        ):
            before_step = new.total()
            content = step(data, new)
            if new.total() > before_step:  # else what is known of the arrays stays
                data = data.replaced(content)
        if not new:
            break
        done += new
    if any(
        count and not left
        for count, left in zip(before, (len(data.images), len(data.annotations)), strict=True)
    ):
        raise CheckError(
            f'{data.path}: not repaired, for no image with a box would be left; see the errors'
        )
    return Fixed(dict(data.content), done)


def _count(done: Counter[tuple[str, str]], what: str, kind: Kind, rows: Collection[int]) -> None:
    if len(rows):
        done[what, kind.title] += len(rows)


def _with(data: CocoData, **lists: list[dict[str, Any]]) -> dict[str, Any]:
    """The content with other lists; one that the file lacks stays away."""
    return {
        key: lists[key] if key in lists and isinstance(value, list) else value
        for key, value in data.content.items()
    }


def _without(entries: list[dict[str, Any]], rows: Collection[int]) -> list[dict[str, Any]]:
    gone = set(map(int, rows))
    return [entry for row, entry in enumerate(entries) if row not in gone] if gone else entries


def _drop_strangers(data: CocoData, done: Counter[tuple[str, str]]) -> dict[str, Any]:
    """Entries that are no objects, and boxes that refer to nothing.

    Those must go before ids are given: a new id could be the one that they name.
    """
    _count(done, 'removed', structure.NOT_OBJECT, structure.strangers(data))
    no_image, no_category = ids.without_image(data), ids.without_category(data)
    _count(done, 'removed', ids.NO_IMAGE, no_image)
    _count(done, 'removed', ids.NO_CATEGORY, np.setdiff1d(no_category, no_image))
    return _with(
        data,
        images=data.images,
        categories=data.categories,
        annotations=_without(data.annotations, [*no_image, *no_category]),
    )


def _mend_images(data: CocoData, done: Counter[tuple[str, str]]) -> dict[str, Any]:
    """Images that cannot be used go, with their boxes; sizes come from the photos."""
    gone: set[int] = set()
    for kind, rows in (
        (images.NAME_MISSING, images.unnamed(data)),
        (ids.LISTED_TWICE, ids.images_listed_twice(data)),
        (images.ABSENT, images.absent(data)),
        (images.UNREADABLE, images.unreadable(data)),
    ):
        _count(done, 'removed', kind, set(rows) - gone)
        gone.update(rows)
    new = list(data.images)
    for kind, rows in (
        (images.SIZE_MISSING, images.size_missing(data)),
        (images.SIZE_WRONG, images.size_wrong(data)),
    ):
        rows = [row for row in rows if row not in gone and np.isfinite(data.seen[row]).all()]
        _count(done, 'corrected', kind, rows)
        for row in rows:
            width, height = data.seen[row]
            new[row] = new[row] | {'width': int(width), 'height': int(height)}
    of_gone = np.flatnonzero(np.isin(data.image_of, list(gone)))
    if len(of_gone):
        done['removed', 'boxes of removed images'] += len(of_gone)
    annotations = _refer(data, 'image', new, gone, done)
    return _with(data, images=_without(new, gone), annotations=_without(annotations, of_gone))


def _mend_categories(data: CocoData, done: Counter[tuple[str, str]]) -> dict[str, Any]:
    """Categories that stand twice go; boxes refer to the first already."""
    gone = ids.categories_listed_twice(data)
    _count(done, 'removed', ids.CATEGORY_TWICE, gone)
    new = list(data.categories)
    annotations = _refer(data, 'category', new, set(gone), done)
    return _with(data, categories=_without(new, gone), annotations=annotations)


def _refer(
    data: CocoData,
    name: str,
    entries: list[dict[str, Any]],
    gone: Collection[int],
    done: Counter[tuple[str, str]],
) -> list[dict[str, Any]]:
    """Give ids to the entries that have none of use; the annotations that follow them."""
    rows = [
        row
        for row, entry in enumerate(entries)
        if row not in gone and not ids.is_good_id(entry.get('id'))
    ]
    if rows:
        done['numbered', f'{name} ids that are missing or no whole numbers'] += len(rows)
    for row, number in zip(rows, _free_ids(entries), strict=False):
        entries[row] = entries[row] | {'id': number}
    key = f'{name}_id'
    refers_to = (data.image_of if name == 'image' else data.category_of).tolist()
    annotations, changed = list(data.annotations), set(rows)
    for position, row in enumerate(refers_to):
        if row in changed or row >= 0 and type(annotations[position][key]) is float:
            if row not in changed:
                done['corrected', ids.REFERENCE.title] += 1
            annotations[position] = annotations[position] | {key: entries[row]['id']}
    return annotations


def _free_ids(entries: list[dict[str, Any]]) -> Iterator[int]:
    """1, 2, ... without those in use."""
    used = {entry['id'] for entry in entries if ids.is_good_id(entry.get('id'))}
    return (number for number in itertools.count(1) if number not in used)


def _mend_boxes(data: CocoData, done: Counter[tuple[str, str]]) -> dict[str, Any]:
    """Boxes that are none go; those that leave their image are clipped."""
    gone: list[int] = []
    for kind, rows in (
        (boxes.NOT_NUMBERS, boxes.not_numbers(data)),
        (boxes.NOT_FINITE, boxes.not_finite(data)),
        (boxes.EMPTY, boxes.empty(data)),
        (boxes.OUTSIDE, boxes.outside(data)),
    ):
        _count(done, 'removed', kind, rows)
        gone += rows.tolist()
    rows = boxes.partly_outside(data)
    _count(done, 'clipped', boxes.PARTLY, rows)
    annotations, sizes = list(data.annotations), data.of_boxes(data.sizes)
    for row in rows:
        annotations[row] = _clipped(annotations[row], data.areas[row], *sizes[row].tolist())
    return _with(data, annotations=_without(annotations, gone))


def _clipped(
    item: dict[str, Any], area: float, image_width: float, image_height: float
) -> dict[str, Any]:
    x, y, width, height = item['bbox']
    # Whole numbers stay whole: a side of an image is, as a rule.
    right, bottom = (
        int(side) if side.is_integer() else side for side in (image_width, image_height)
    )
    x1, y1, x2, y2 = max(x, 0), max(y, 0), min(x + width, right), min(y + height, bottom)
    new = item | {'bbox': [x1, y1, x2 - x1, y2 - y1]}
    if not item.get('segmentation') and math.isclose(area, width * height, rel_tol=AREA_OF_BOX):
        new['area'] = (x2 - x1) * (y2 - y1)
    return new


def _drop_duplicates(data: CocoData, done: Counter[tuple[str, str]]) -> dict[str, Any]:
    """Of equal boxes the first stays."""
    rows = boxes.duplicates(data)
    _count(done, 'removed', boxes.DUPLICATE, rows)
    return _with(data, annotations=_without(data.annotations, rows))


def _fill_fields(data: CocoData, done: Counter[tuple[str, str]]) -> dict[str, Any]:
    """Area, iscrowd and ids of annotations."""
    annotations = list(data.annotations)
    for kind, what, rows in (
        (boxes.AREA_MISSING, 'filled in', boxes.area_missing(data)),
        (boxes.AREA_WRONG, 'corrected', boxes.area_wrong(data)),
    ):
        _count(done, what, kind, rows)
        for row in rows:
            _, _, width, height = annotations[row]['bbox']
            annotations[row] = annotations[row] | {'area': width * height}
    rows = boxes.crowd_missing(data)
    _count(done, 'filled in', boxes.CROWD_MISSING, rows)
    for row in rows:
        annotations[row] = annotations[row] | {'iscrowd': 0}
    twice = set(ids.annotations_numbered_twice(data).tolist())
    rows = [
        row
        for row, item in enumerate(annotations)
        if row in twice or not ids.is_good_id(item.get('id')) or item['id'] < 1
    ]
    if rows:
        done[
            'numbered', 'annotation ids that are missing, below 1, in use or no whole numbers'
        ] += len(rows)
    for row, number in zip(rows, _free_ids(annotations), strict=False):
        annotations[row] = annotations[row] | {'id': number}
    return _with(data, annotations=annotations)


def _strict(value: Any, levels: int = MAX_NESTING) -> Any:
    """The same value in what JSON has: no NaN, no half surrogates, no endless numbers."""
    if isinstance(value, dict | list) and levels == 0:
        raise RecursionError
    if isinstance(value, dict):
        return {_strict(key): _strict(item, levels - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_strict(item, levels - 1) for item in value]
    if isinstance(value, str):
        return value.encode('utf-8', 'replace').decode() if _is_broken(value) else value
    if type(value) is int and abs(value) >= 2**63:
        value = float(value) if abs(value) < 10**308 else math.inf
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _is_broken(text: str) -> bool:
    return not text.isascii() and any('\ud800' <= character <= '\udfff' for character in text)
