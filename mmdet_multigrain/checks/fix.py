"""A repaired copy of a COCO file: only what is safe, everything counted, the input untouched.

The checks find the rows. What the data leave open (an id of several files, boxes drawn for other
photos) stays as it is.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmdet_multigrain.utils.errors import CheckError
from mmdet_multigrain.utils.files import dump_json

from . import boxes, ids, images, structure
from .data import CocoData
from .finding import Check
from .recover import RECOMPUTED, Done, recover

MAX_PASSES = 10  # a guard: the second as a rule finds nothing left
# Levels of lists and objects. Python's own limit depends on its version and on the caller.
MAX_NESTING = 320
AREA_OF_BOX = 0.01  # closer than this an area is its box's, and follows when that is clipped


@dataclass(frozen=True)
class Fixed:
    """A repaired copy."""

    content: dict[str, Any]  # to be written
    done: Done  # what was done
    removed: int = 0  # boxes that are gone
    boxes: int = 0  # how many there were

    def changes(self) -> str:
        """How many boxes are gone or were computed again, in words; nothing if none."""
        recomputed = sum(count for (what, _), count in self.done.items() if what == RECOMPUTED)
        counts = (self.removed, 'removed'), (recomputed, 'recomputed')
        words = ' and '.join(f'{count:,} {what}' for count, what in counts if count)
        return f'of {self.boxes:,} boxes, {words}' if words else ''

    def encoded(self) -> bytes:
        """The file: strict JSON.

        Raises:
            CheckError: Something in it is nested too deeply to be written.
        """
        with contextlib.suppress(TypeError, ValueError):
            return dump_json(self.content)  # NaN becomes null
        try:  # half surrogates, endless numbers, deeply nested
            content = _strict(self.content)
            with contextlib.suppress(TypeError):  # deeply nested; `json` writes numbers otherwise
                return dump_json(content)
            return json.dumps(
                content, ensure_ascii=False, allow_nan=False, separators=(',', ':')
            ).encode()
        except RecursionError:
            raise CheckError(
                'not repaired, because something in the file is nested too deeply; leave it out'
            ) from None


def repair(data: CocoData) -> Fixed:
    """Fix what can be fixed without a guess.

    Raises:
        CheckError: Something can be read in several ways (boxes that may be corners, a photo that
            may be one of two files), or nothing would be left.
    """
    done: Done = Counter()
    if data.not_strict:
        done['replaced', structure.not_strict.title] += 1
    done.update({('rewritten', what): count for what, count in data.recovered.items()})
    num_images, num_boxes = len(data.images), len(data.annotations)
    for _ in range(MAX_PASSES):
        new: Done = Counter()
        for step in STEPS:
            before_step = new.total()
            content = step(data, new)
            if new.total() > before_step:  # else what is known of the arrays stays
                data = data.replaced(content)
        if not new.total():
            break
        done += new
    if num_images and not data.images or num_boxes and not data.annotations:
        raise CheckError(
            f'{data.path}: not repaired, because no image with a box would be left; see the errors'
        )
    return Fixed(dict(data.content), done, num_boxes - len(data.annotations), num_boxes)


def _without(entries: list[dict[str, Any]], gone: set[int]) -> list[dict[str, Any]]:
    return [entry for row, entry in enumerate(entries) if row not in gone]


def _remove(data: CocoData, done: Done, *checks: Check) -> set[int]:
    """The rows that checks find, each counted for the first of them."""
    gone: set[int] = set()
    for check in checks:
        rows = set(map(int, check.find(data))) - gone
        done['removed', check.title] += len(rows)
        gone |= rows
    return gone


def _drop_unknown(data: CocoData, done: Done) -> dict[str, Any]:
    """Entries that are not objects, and boxes that refer to nothing.

    These go before ids are given: a new id could be the one that they name.
    """
    done['removed', structure.not_objects.title] += len(structure.not_objects.find(data))
    gone = _remove(data, done, ids.unknown_images, ids.unknown_categories)
    left = _without(data.annotations, gone)
    return data.with_lists(images=data.images, categories=data.categories, annotations=left)


def _fix_images(data: CocoData, done: Done) -> dict[str, Any]:
    """Images that cannot be used go, with their boxes; sizes come from the photos."""
    gone = _remove(
        data, done, images.unnamed, ids.duplicate_images, images.absent, images.unreadable
    )
    new, is_seen = list(data.images), np.isfinite(data.seen).all(1)
    for row in images.named_otherwise.find(data):
        done['renamed', images.named_otherwise.title] += 1
        new[row] = new[row] | {'file_name': data.photo(row).named}
    for check in (images.size_missing, images.size_wrong):
        for row in check.find(data):
            if row not in gone and is_seen[row]:
                done['corrected', check.title] += 1
                width, height = data.seen[row].astype(int).tolist()
                new[row] = new[row] | {'width': width, 'height': height}
    of_gone = {row for row, image in enumerate(data.image_of.tolist()) if image in gone}
    done['removed', 'boxes of removed images'] += len(of_gone)
    annotations = _refer(data, 'image', new, gone, done)
    left = _without(annotations, of_gone)
    return data.with_lists(images=_without(new, gone), annotations=left)


def _fix_categories(data: CocoData, done: Done) -> dict[str, Any]:
    """Duplicated categories go; boxes refer to the first already."""
    gone = _remove(data, done, ids.duplicate_categories)
    new = list(data.categories)
    annotations = _refer(data, 'category', new, gone, done)
    return data.with_lists(categories=_without(new, gone), annotations=annotations)


def _refer(
    data: CocoData, name: str, entries: list[dict[str, Any]], gone: Collection[int], done: Done
) -> list[dict[str, Any]]:
    """Give ids to the entries without a usable one; the annotations that follow them."""
    bad = {row for row, entry in enumerate(entries) if not ids.is_good_id(entry.get('id'))}
    rows = sorted(bad.difference(gone))
    _number(entries, rows, done, f'{name} ids that are missing or not whole numbers')
    key = f'{name}_id'
    refers_to = (data.image_of if name == 'image' else data.category_of).tolist()
    annotations, changed = list(data.annotations), set(rows)
    for position, row in enumerate(refers_to):
        if row in changed or row >= 0 and type(annotations[position][key]) is float:
            if row not in changed:
                done['corrected', ids.fractional_references.title] += 1
            annotations[position] = annotations[position] | {key: entries[row]['id']}
    return annotations


def _number(entries: list[dict[str, Any]], rows: list[int], done: Done, title: str) -> None:
    """Number the entries of some rows 1, 2, ... without the ids in use."""
    done['numbered', title] += len(rows)
    used = {entry['id'] for entry in entries if ids.is_good_id(entry.get('id'))}
    free = (number for number in itertools.count(1) if number not in used)
    for row, number in zip(rows, free, strict=False):
        entries[row] = entries[row] | {'id': number}


def _refuse_doubts(data: CocoData, done: Done) -> dict[str, Any]:
    """Raise if the boxes or the photo of an image can be read in several ways."""
    for check in (*boxes.DOUBTS, *images.DOUBTS):
        rows = check.find(data)
        if len(rows):
            raise CheckError(
                f'{data.path}: not repaired, because it has {len(rows):,} {check.title}, such as '
                f'{check.describe(data, rows[0])}; first {check.fix}'
            )
    return data.content


def _fix_boxes(data: CocoData, done: Done) -> dict[str, Any]:
    """Boxes that are not usable go; those that leave their image are clipped."""
    gone = _remove(data, done, boxes.not_numbers, boxes.not_finite, boxes.empty, boxes.outside)
    annotations, sizes = list(data.annotations), data.of_boxes(data.sizes)
    for row in boxes.partly_outside.find(data):
        done['clipped', boxes.partly_outside.title] += 1
        annotations[row] = _clipped(annotations[row], data.areas[row], sizes[row].tolist())
    return data.with_lists(annotations=_without(annotations, gone))


def _clipped(item: dict[str, Any], area: float, size: list[float]) -> dict[str, Any]:
    x, y, width, height = item['bbox']
    # Whole numbers stay whole: a side of an image is, as a rule.
    right, bottom = (int(side) if side.is_integer() else side for side in size)
    x1, y1, x2, y2 = max(x, 0), max(y, 0), min(x + width, right), min(y + height, bottom)
    new = item | {'bbox': [x1, y1, x2 - x1, y2 - y1]}
    if not item.get('segmentation') and math.isclose(area, width * height, rel_tol=AREA_OF_BOX):
        new['area'] = (x2 - x1) * (y2 - y1)
    return new


def _drop_duplicates(data: CocoData, done: Done) -> dict[str, Any]:
    """Of equal boxes the first stays."""
    gone = _remove(data, done, boxes.duplicates)
    return data.with_lists(annotations=_without(data.annotations, gone))


def _fill_fields(data: CocoData, done: Done) -> dict[str, Any]:
    """Area, iscrowd and ids of annotations."""
    annotations = list(data.annotations)
    for what, check in (
        ('filled in', boxes.area_missing),
        ('corrected', boxes.area_unusable),
        ('corrected', boxes.area_of_another),
    ):
        for row in check.find(data):
            done[what, check.title] += 1
            annotations[row] = annotations[row] | {'area': _area(data, row)}
    for row in boxes.crowd_missing.find(data):
        done['filled in', boxes.crowd_missing.title] += 1
        annotations[row] = annotations[row] | {'iscrowd': 0}
    numbers = [item.get('id') for item in annotations]
    rows = {row for row, id in enumerate(numbers) if not ids.is_good_id(id) or id < 1}
    rows = sorted(rows.union(ids.duplicate_annotation_ids.find(data).tolist()))
    title = 'annotation ids that are missing, below 1, in use or not whole numbers'
    _number(annotations, rows, done, title)
    return data.with_lists(annotations=annotations)


def _area(data: CocoData, row: int) -> float:
    """Of the mask where it tells that `area` is wrong, else of the box."""
    _, _, width, height = data.annotations[row]['bbox']
    area = float(data.judged_areas.areas[row])
    told = data.judged_areas.are_told[row] and not math.isclose(area, width * height)
    return area if told else width * height


# In this order.
STEPS = (
    *(recover, _drop_unknown, _fix_images, _fix_categories),
    *(_refuse_doubts, _fix_boxes, _drop_duplicates, _fill_fields),
)


def _strict(value: Any, levels: int = MAX_NESTING) -> Any:
    """The same value in what JSON has: no NaN, no half surrogates, no endless numbers."""
    if isinstance(value, dict | list) and levels == 0:
        raise RecursionError
    if isinstance(value, dict):
        return {_strict(key): _strict(item, levels - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_strict(item, levels - 1) for item in value]
    if isinstance(value, str):
        return value if value.isascii() else value.encode('utf-8', 'replace').decode()
    if type(value) is int and abs(value) >= 2**63:
        value = float(value) if abs(value) < 10**308 else math.inf
    return None if isinstance(value, float) and not math.isfinite(value) else value
