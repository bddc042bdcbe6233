"""DeepFashion2's release -> COCO JSON.

The release has one annotation file per image::

    ROOT/{train,validation}/image/000001.jpg
    ROOT/{train,validation}/annos/000001.json

with the keys ``source``, ``pair_id`` and ``item1``, ``item2``, ... Only reading and converting
are here; files are written by ``files``, class names come from the taxonomy ``deepfashion2``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mmdet_multigrain.files import dump_json, load_json
from mmdet_multigrain.images import IMAGE_SUFFIXES, image_size
from mmdet_multigrain.taxonomy import Taxonomy

from .coco_file import ConversionSummary, open_coco
from .errors import ConverterError

SPLITS = ('train', 'validation')
LAYOUT = 'ROOT/{train,validation}/image/*.jpg and ROOT/{train,validation}/annos/*.json'
#: Fields of an item that are kept as they are, beside its box and class.
ITEM_FIELDS = ('scale', 'occlusion', 'zoom_in', 'viewpoint', 'style')
#: Fields of an image; detection users look for them at the annotation.
IMAGE_FIELDS = ('pair_id', 'source')

MAX_COORDINATE = 1e9  # beyond it (infinity, NaN) a number is no coordinate


class BadItemError(ValueError):
    """An item that cannot be used: the kind of problem, and what was found."""

    def __init__(self, kind: str, found: str) -> None:
        super().__init__(f'{kind}: {found}')
        self.kind, self.found = kind, found


def convert_item(item: Any, width: int, height: int, taxonomy: Taxonomy, *,
                 with_segmentation: bool = False) -> dict[str, Any]:
    """One item of an annotation file -> a COCO annotation without ids.

    Args:
        item: The value under ``item1``, ``item2``, ...
        width: Of the image, in pixels.
        height: Of the image, in pixels.
        taxonomy: ``deepfashion2``; category id = label + 1.
        with_segmentation: Keep the polygons.

    Returns:
        ``category_id``, ``bbox`` (x, y, width, height, clipped to the image), ``area`` of that
        box, ``iscrowd`` 0, and the release's own fields.

    Raises:
        BadItemError: Its class or its box cannot be used.
    """
    if not isinstance(item, dict):
        raise BadItemError('item that is no JSON object', f'{item!r:.40}')
    name, category_id = item.get('category_name'), item.get('category_id')
    label = taxonomy.find(name)
    if label is None:
        raise BadItemError('unknown category_name', f'{name!r:.40}')
    if category_id != label + 1:
        raise BadItemError('category_id that contradicts category_name',
                       f'{category_id!r:.40}, but {name!r} is {label + 1}')
    result = {'category_id': label + 1, **_clip(item.get('bounding_box'), width, height),
              'iscrowd': 0}
    for key in ITEM_FIELDS:
        if key in item:
            result[key] = item[key]
    if with_segmentation:
        polygons = item.get('segmentation')
        result['segmentation'] = [polygon for polygon in polygons if _is_polygon(polygon)
                                  ] if isinstance(polygons, list) else []
    return result


def _is_polygon(polygon: Any) -> bool:
    """Whether it has three points at least; COCO's tools fail on less."""
    return isinstance(polygon, list) and len(polygon) >= 6 and len(polygon) % 2 == 0


def _clip(box: Any, width: int, height: int) -> dict[str, Any]:
    """A release box (x1, y1, x2, y2) -> COCO's bbox within the image, and its area."""
    shown = f'{box!r:.60}'
    if not (isinstance(box, list) and len(box) == 4
            and all(type(v) in (int, float) and abs(v) < MAX_COORDINATE for v in box)):
        raise BadItemError('bounding_box that is not four numbers', shown)
    x1, y1, x2, y2 = box
    if x2 <= x1 or y2 <= y1:
        raise BadItemError('empty or reversed bounding_box', shown)
    x1, x2 = max(x1, 0), min(x2, width)
    y1, y2 = max(y1, 0), min(y2, height)
    if x2 <= x1 or y2 <= y1:
        raise BadItemError('bounding_box outside the image', f'{shown} in {width}x{height}')
    return {'bbox': [x1, y1, x2 - x1, y2 - y1], 'area': (x2 - x1) * (y2 - y1)}


def read_annotation(path: str | Path) -> dict[str, Any]:
    """Parse one annotation file.

    Raises:
        ValueError: It cannot be read, or is no JSON object.
    """
    try:
        annotation = load_json(path)
    except OSError as error:
        raise ValueError(error.strerror) from None
    if not isinstance(annotation, dict):
        raise ValueError('no JSON object')
    return annotation


def iterate_items(annotation: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """``item1``, ``item2``, ... by number; files have them in any order."""
    keys = [key for key in annotation if re.fullmatch(r'item[0-9]+', key)]
    for key in sorted(keys, key=lambda key: (len(key), key)):
        yield key, annotation[key]


def find_folders(root: str | Path, split: str) -> tuple[Path, Path]:
    """The image and the annotation folder of a split.

    Raises:
        ConverterError: One of them is not there; names the layout.
    """
    folders = Path(root) / split / 'image', Path(root) / split / 'annos'
    for folder in folders:
        if not folder.is_dir():
            raise ConverterError(f'{folder}: no such folder; DeepFashion2 is unpacked as {LAYOUT}')
    return folders


def _files_by_stem(folder: Path, suffixes: Collection[str]) -> dict[str, str]:
    names = sorted(n for n in os.listdir(folder) if not n.startswith('.'))
    return {os.path.splitext(n)[0]: n for n in names if os.path.splitext(n)[1].lower() in suffixes}


@dataclass
class FileResult:
    """What one annotation file gave; ids are still missing.

    Attributes:
        image: COCO image, or None if it is left out.
        annotations: COCO annotations.
        problems: (kind, example) of what was left out.
    """

    image: dict[str, Any] | None = None
    annotations: list[dict[str, Any]] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)


def convert_file(anno_path: Path, image_path: Path, taxonomy: Taxonomy, *,
                 with_segmentation: bool = False) -> FileResult:
    """Convert one annotation file; depends on no other file."""
    result = FileResult()
    try:
        annotation = read_annotation(anno_path)
    except ValueError as error:
        result.problems.append(('unreadable annotation file', f'{anno_path.name} ({error})'))
        return result
    try:
        width, height = image_size(image_path)
    except ValueError as error:
        result.problems.append(('unreadable image', f'{image_path.name} ({error})'))
        return result
    of_image = {key: annotation[key] for key in IMAGE_FIELDS if key in annotation}
    for key, item in iterate_items(annotation):
        try:
            converted = convert_item(item, width, height, taxonomy,
                                     with_segmentation=with_segmentation)
        except BadItemError as error:
            result.problems.append((error.kind, f'{anno_path.name} {key} {error.found}'))
        else:
            result.annotations.append(converted | of_image)
    if result.problems and not result.annotations:
        result.problems.append(('image without a usable item', image_path.name))
    else:
        result.image = {'file_name': image_path.name, 'width': width, 'height': height}
    return result


def convert(root: str | Path, split: str, out_file: str | Path | None = None, *,
            with_segmentation: bool = False, progress: bool = True) -> ConversionSummary:
    """Convert one split of the release to a COCO file.

    Images are in the order of their names, annotation ids count from 1, all 13 categories are
    listed with their superclass as ``supercategory``. Data that cannot be used is left out,
    counted and listed in the summary; an image of which no item can be used is left out too,
    for it would teach that its garments are background.

    Args:
        root: Folder with ``train`` and ``validation``.
        split: ``train`` or ``validation``.
        out_file: Default ``ROOT/annotations/{split}.json``. Written whole or not at all.
        with_segmentation: Keep the polygons (the file grows several times).
        progress: Show a progress bar.

    Raises:
        ConverterError: A folder is missing, or no box is left.
        FileError: The file cannot be written.
    """
    image_folder, anno_folder = find_folders(root, split)
    out_file = Path(out_file or Path(root) / 'annotations' / f'{split}.json')
    taxonomy = Taxonomy.load('deepfashion2')
    summary = ConversionSummary(split, out_file, taxonomy)
    image_names = _files_by_stem(image_folder, IMAGE_SUFFIXES)
    anno_names = _files_by_stem(anno_folder, {'.json'})
    for stem in sorted(image_names.keys() - anno_names.keys()):
        summary.problems.add('image without annotation file', image_names[stem])
    with open_coco(out_file, {'description': f'DeepFashion2, {split} split'}, taxonomy) as coco:
        for stem, anno_name in tqdm(anno_names.items(), desc=split, unit='file',
                                    mininterval=1, disable=not progress):
            if stem not in image_names:
                summary.problems.add('annotation file without image', anno_name)
                continue
            result = convert_file(anno_folder / anno_name, image_folder / image_names[stem],
                                  taxonomy, with_segmentation=with_segmentation)
            for kind, example in result.problems:
                summary.problems.add(kind, example)
            if result.image is None:
                continue
            coco.add(dump_json(result.image), map(dump_json, result.annotations))
            labels = [annotation['category_id'] - 1 for annotation in result.annotations]
            summary.boxes.update(labels)
            summary.images.update(set(labels))
        if not coco.num_annotations:
            raise ConverterError(f'{anno_folder}: no usable box in {len(anno_names)} files'
                                 + summary.problems.first())
        summary.num_images = coco.num_images
    return summary
