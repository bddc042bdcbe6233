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
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from mmdet_multigrain.files import dump_json, load_json, write_whole
from mmdet_multigrain.taxonomy import Taxonomy

from .errors import ConverterError

SPLITS = ('train', 'validation')
LAYOUT = 'ROOT/{train,validation}/image/*.jpg and ROOT/{train,validation}/annos/*.json'
IMAGE_SUFFIXES = {'.jpg', '.jpeg', '.png'}
#: Fields of an item that are kept as they are, beside its box and class.
ITEM_FIELDS = ('scale', 'occlusion', 'zoom_in', 'viewpoint', 'style')
#: Fields of an image; detection users look for them at the annotation.
IMAGE_FIELDS = ('pair_id', 'source')

EXIF_ORIENTATION = 0x0112
MAX_COORDINATE = 1e9  # beyond it (infinity, NaN) a number is no coordinate
EXAMPLES = 3  # per kind of problem


@dataclass
class Problems:
    """What was left out: a count and the first few examples for each kind."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, kind: str, example: str) -> None:
        """Count one more."""
        self.counts[kind] += 1
        if len(self.examples[kind]) < EXAMPLES:
            self.examples[kind].append(example)

    def first(self) -> str:
        """The first kind and example as the end of a message, or nothing."""
        return next((f'; first problem: {kind}: {examples[0]}'
                     for kind, examples in self.examples.items()), '')

    def __str__(self) -> str:
        return '\n'.join(
            f'  {count} x {kind}: {"; ".join(self.examples[kind])}'
            + ('; ...' if count > len(self.examples[kind]) else '')
            for kind, count in self.counts.items())


@dataclass
class ConversionSummary:
    """What a conversion wrote and what it left out.

    Attributes:
        split: ``train`` or ``validation``.
        out_file: The COCO file.
        taxonomy: Its classes, in label order, with their superclasses.
        num_images: Images in the file.
        boxes: Boxes per label.
        images: Images with at least one box, per label.
        problems: What was left out.
    """

    split: str
    out_file: Path
    taxonomy: Taxonomy
    num_images: int = 0
    boxes: Counter[int] = field(default_factory=Counter)
    images: Counter[int] = field(default_factory=Counter)
    problems: Problems = field(default_factory=Problems)

    def __str__(self) -> str:
        lines = [f'{self.split}: {self.num_images} images, {self.boxes.total()} boxes '
                 f'-> {self.out_file}',
                 f'  {"class":<22}{"superclass":<18}{"boxes":>8}{"images":>8}']
        lines += [f'  {name:<22}{self.taxonomy.superclass_of(label):<18}'
                  f'{self.boxes[label]:>8}{self.images[label]:>8}'
                  for label, name in enumerate(self.taxonomy.classes)]
        if self.problems.counts:
            lines += ['left out:', str(self.problems)]
        return '\n'.join(lines)


class BadItemError(ValueError):
    """An item that cannot be used: the kind of problem, and what was found."""

    def __init__(self, kind: str, found: str) -> None:
        super().__init__(f'{kind}: {found}')
        self.kind, self.found = kind, found


def image_size(path: str | Path) -> tuple[int, int]:
    """(width, height) as an image reader sees them, from the file's header only.

    OpenCV, and with it MMDetection, turns an image upright by its EXIF orientation: 5 to 8 swap
    the sides.

    Raises:
        ValueError: The file is not a readable JPEG or PNG.
    """
    try:
        with Image.open(path, formats=('JPEG', 'PNG')) as image:
            width, height = image.size
            turned = image.getexif().get(EXIF_ORIENTATION) in (5, 6, 7, 8)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(str(error)) from None
    return (height, width) if turned else (width, height)


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


def _files_by_stem(folder: Path, suffixes: set[str]) -> dict[str, str]:
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
    images, annotations = [], []
    for stem, anno_name in tqdm(anno_names.items(), desc=split, unit='file',
                                mininterval=1, disable=not progress):
        if stem not in image_names:
            summary.problems.add('annotation file without image', anno_name)
            continue
        result = convert_file(anno_folder / anno_name, image_folder / image_names[stem], taxonomy,
                              with_segmentation=with_segmentation)
        for kind, example in result.problems:
            summary.problems.add(kind, example)
        if result.image is None:
            continue
        images.append({'id': len(images) + 1, **result.image})
        annotations += [{'id': number, 'image_id': len(images), **annotation}
                        for number, annotation in enumerate(result.annotations,
                                                            len(annotations) + 1)]
        labels = [annotation['category_id'] - 1 for annotation in result.annotations]
        summary.boxes.update(labels)
        summary.images.update(set(labels))
    if not annotations:
        raise ConverterError(f'{anno_folder}: no usable box in {len(anno_names)} files'
                             + summary.problems.first())
    summary.num_images = len(images)
    try:
        out_file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConverterError(f'{out_file.parent}: {error.strerror}; name another folder') from None
    write_whole(out_file, dump_json({
        'info': {'description': f'DeepFashion2, {split} split'}, 'licenses': [],
        'images': images, 'categories': coco_categories(taxonomy), 'annotations': annotations}))
    return summary


def coco_categories(taxonomy: Taxonomy) -> list[dict[str, Any]]:
    """All classes as COCO categories: id = label + 1, the superclass as ``supercategory``."""
    return [{'id': label + 1, 'name': name, 'supercategory': taxonomy.superclass_of(label)}
            for label, name in enumerate(taxonomy.classes)]
