"""DeepFashion2's annotation files -> COCO annotations, one file and one item at a time.

200,000 files go through this, in separate processes: it returns JSON, does no more than it
must, and imports little. Folders, ids and the COCO file are in `deepfashion2`.
"""

from __future__ import annotations

import codecs
import contextlib
import functools
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from mmdet_multigrain.utils.errors import MultigrainError
from mmdet_multigrain.utils.images import image_size
from mmdet_multigrain.utils.problems import Problems

if TYPE_CHECKING:
    from mmdet_multigrain.taxonomy import Taxonomy

#: Fields of an item that are kept as they are, next to its box and class.
ITEM_FIELDS = ('scale', 'occlusion', 'zoom_in', 'viewpoint', 'style')
#: Fields of an image; detection users look for them at the annotation.
IMAGE_FIELDS = ('pair_id', 'source')

MAX_COORDINATE = 1e9  # a larger number is not a coordinate
READ_BYTES = 1 << 16
MAX_BYTES = 16 << 20  # of a file; those of the release have some kilobytes


class BadItemError(MultigrainError):
    """An item that cannot be used: the kind of problem, and what was found."""

    def __init__(self, kind: str, found: str) -> None:
        super().__init__(f'{kind}: {found}')
        self.kind, self.found = kind, found


class CategoryIds(dict[str, int | None]):
    """The COCO category id of each class name, label + 1; None for an unknown name.

    Holds the 13 names of the release; for other spellings and aliases it loads the taxonomy, which
    takes longer than a process needs to start.
    """

    def __init__(self, classes: Iterable[str]) -> None:
        super().__init__((name, label + 1) for label, name in enumerate(classes))

    def __missing__(self, name: str) -> int | None:
        label = self._taxonomy.find(name)
        return None if label is None else label + 1

    @functools.cached_property
    def _taxonomy(self) -> Taxonomy:
        from mmdet_multigrain.taxonomy import Taxonomy

        return Taxonomy.load('deepfashion2')


def convert_item(
    item: Any, width: int, height: int, ids: Mapping[str, int | None]
) -> dict[str, Any]:
    """An item (the value under `item1`, ...) of an annotation file -> a COCO annotation without ids.

    The box is clipped to the image, of `width` and `height` pixels; for `ids` see `CategoryIds`.

    Raises:
        BadItemError: Its class or its box cannot be used.
    """
    if type(item) is not dict:
        raise BadItemError('item that is not a JSON object', _shown(item))
    name = item.get('category_name')
    category_id = ids[name] if type(name) is str else None
    if category_id is None:
        raise BadItemError('unknown category_name', _shown(name))
    if item.get('category_id') != category_id:
        raise BadItemError(
            'category_id that contradicts category_name',
            f'{_shown(item.get("category_id"))}, but {name!r} is {category_id}',
        )
    x1, y1, x2, y2 = clip(item.get('bounding_box'), width, height)
    box, area = (x1, y1, x2 - x1, y2 - y1), (x2 - x1) * (y2 - y1)
    result = {'category_id': category_id, 'bbox': box, 'area': area, 'iscrowd': 0}
    for key in ITEM_FIELDS:
        if key in item:
            result[key] = item[key]
    return result


def clip(box: Any, width: int, height: int) -> tuple[float, float, float, float]:
    """The part of a release box (x1, y1, x2, y2) that lies within the image.

    Raises:
        BadItemError: It is not a box, or no part of it is there.
    """
    if not (type(box) is list and len(box) == 4):
        raise BadItemError('bounding_box that is not four numbers', _shown(box, 60))
    x1, y1, x2, y2 = box
    if (
        type(x1) is type(y1) is type(x2) is type(y2) is int
        and 0 <= x1 < x2 <= width
        and 0 <= y1 < y2 <= height
    ):
        return x1, y1, x2, y2  # nearly all boxes; the rest only takes longer
    if not all(map(_is_coordinate, box)):
        raise BadItemError('bounding_box that is not four numbers', _shown(box, 60))
    if x2 <= x1 or y2 <= y1:
        raise BadItemError('empty or reversed bounding_box', f'{box}')
    x1, x2 = max(x1, 0), min(x2, width)
    y1, y2 = max(y1, 0), min(y2, height)
    if x2 <= x1 or y2 <= y1:
        raise BadItemError('bounding_box outside the image', f'{box} in {width}x{height}')
    return x1, y1, x2, y2


def _shown(value: Any, length: int = 40) -> str:
    """The start of a value, for a message."""
    try:
        return repr(value)[:length]
    except RecursionError:
        return 'nested too deeply to be shown'


def _is_coordinate(value: Any) -> bool:
    return type(value) in (int, float) and -MAX_COORDINATE < value < MAX_COORDINATE


def split_polygons(segmentation: Any) -> tuple[list[list[float]], list[Any]]:
    """The polygons of an item, and its other parts: COCO's tools fail on less than three points."""
    parts = segmentation if type(segmentation) is list else [segmentation]
    polygons, others = [], []
    for part in parts:
        is_list = type(part) is list and len(part) >= 6 and len(part) % 2 == 0
        (polygons if is_list and all(map(_is_coordinate, part)) else others).append(part)
    return polygons, others


def item_keys(annotation: Iterable[str]) -> list[str]:
    """`item1`, `item2`, ... by number; files have them in any order."""
    keys = [key for key in annotation if key[:4] == 'item' and key[4:].isdecimal()]
    keys.sort()
    keys.sort(key=len)
    return keys


def read_annotation(name: str, folder: int) -> dict[str, Any]:
    """Parse an annotation file, named in an open folder (its descriptor).

    Raises:
        ValueError: It cannot be read, or is not a JSON object; one line, without the name.
    """
    try:
        file = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)  # half of open()'s time
        try:
            content = piece = os.read(file, READ_BYTES)
            while len(piece) == READ_BYTES and len(content) <= MAX_BYTES:
                piece = os.read(file, READ_BYTES)
                content += piece
        finally:
            os.close(file)
    except OSError as error:
        raise ValueError(error.strerror) from None
    if len(content) > MAX_BYTES:
        raise ValueError(f'over {MAX_BYTES >> 20} MiB, more than an annotation file has')
    annotation = orjson.loads(content.removeprefix(codecs.BOM_UTF8))
    if type(annotation) is not dict:
        raise ValueError('no JSON object')
    return annotation


@dataclass
class Converted:
    """What some annotation files gave; ids are still missing."""

    images: list[bytes] = field(default_factory=list)  # COCO images as JSON
    annotations: list[bytes] = field(default_factory=list)  # as JSON, in the order of the images
    counts: list[int] = field(default_factory=list)  # how many annotations each image has
    boxes: Counter[int] = field(default_factory=Counter)  # per category id
    with_box: Counter[int] = field(default_factory=Counter)  # images with one, per category id
    problems: Problems = field(default_factory=Problems)  # what was left out


def convert_files(
    names: Iterable[tuple[str, str]],
    *,
    anno_folder: str,
    image_folder: str,
    ids: Mapping[str, int | None],
    with_segmentation: bool,
) -> Converted:
    """Convert annotation files in `anno_folder`, each named with its image in `image_folder`.

    For `ids` see `CategoryIds`; with segmentation, the polygons are kept.
    """
    converted = Converted()
    problems, annotations = converted.problems, converted.annotations
    boxes, with_box = [], []  # category ids
    with _open_folder(anno_folder) as annos, _open_folder(image_folder) as images:
        for anno_name, image_name in names:
            try:
                annotation = read_annotation(anno_name, annos)
            except ValueError as error:
                problems.add('unreadable annotation file', f'{anno_name} ({error})')
                continue
            try:
                width, height = image_size(image_name, folder=images)
            except ValueError as error:
                problems.add('unreadable image', f'{image_name} ({error})')
                continue
            keys, found = item_keys(annotation), []
            of_image = {key: annotation[key] for key in IMAGE_FIELDS if key in annotation}
            for key in keys:
                try:
                    item = convert_item(annotation[key], width, height, ids)
                    item.update(of_image)
                    if with_segmentation:
                        item['segmentation'], others = split_polygons(
                            annotation[key].get('segmentation')
                        )
                        for other in others:
                            problems.add(
                                'part of segmentation that is not a polygon',
                                f'{anno_name} {key} {_shown(other)}',
                            )
                    annotations.append(_to_json(item))
                except BadItemError as error:
                    problems.add(error.kind, f'{anno_name} {key} {error.found}')
                else:
                    found.append(item['category_id'])
            if keys and not found:
                problems.add('image without a usable item', image_name)
                continue
            boxes += found
            with_box += set(found)
            converted.counts.append(len(found))
            converted.images.append(
                orjson.dumps({'file_name': image_name, 'width': width, 'height': height})
            )
    converted.boxes.update(boxes)
    converted.with_box.update(with_box)
    return converted


def _to_json(item: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(item)
    except TypeError:  # it reads more levels than it writes
        raise BadItemError('item nested too deeply', 'has over 250 levels') from None


@contextlib.contextmanager
def _open_folder(path: str) -> Iterator[int]:
    """The descriptor of a folder: names are found from there without walking the path again."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield folder
    finally:
        os.close(folder)
