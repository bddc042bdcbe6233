"""Photos for the benchmark of the loader: enlarged ones, or drawn garments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from mmdet_multigrain.converters.synthetic_scene import DIFFICULTIES, render_scene
from mmdet_multigrain.utils.errors import AnnotationError
from mmdet_multigrain.utils.files import dump_json, load_json, write_whole

QUALITY = 90  # of the JPEG files
# A photo, and its boxes: category id, and left, top, width and height in pixels.
Photo = tuple[np.ndarray, list[tuple[int, list[float]]]]


@dataclass(frozen=True)
class Photos:
    """A COCO data set on disk."""

    images: Path  # folder of the photos
    annotations: Path  # COCO file
    classes: tuple[str, ...]  # names of its categories
    description: dict[str, Any]  # what the photos are, in words and numbers


def enlarge(images: Path, annotations: Path, out: Path, *, count: int, edge: int) -> Photos:
    """The first photos of a COCO data set, scaled to a short edge of `edge` px.

    Raises:
        AnnotationError: The file is not a COCO file, or an image cannot be read; one line.
    """
    content = load_json(annotations)
    if not isinstance(content, dict) or not content.get('images'):
        raise AnnotationError(f'{annotations}: not a COCO file with images; name one')
    boxes: dict[int, list] = {}
    for item in content['annotations']:
        boxes.setdefault(item['image_id'], []).append((item['category_id'], item['bbox']))
    chosen = [entry for entry in content['images'] if entry['id'] in boxes][:count]

    def photos() -> Iterator[Photo]:
        for entry in chosen:
            path = images / entry['file_name']
            photo = cv2.imread(str(path))
            if photo is None:
                raise AnnotationError(f'{path}: not a readable image; check --photos')
            factor = edge / min(photo.shape[:2])
            photo = cv2.resize(photo, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
            found = boxes[entry['id']]
            yield photo, [(category, [factor * side for side in box]) for category, box in found]

    names = {item['id']: item['name'] for item in content['categories']}
    return _write(out, tqdm(photos(), 'photos', len(chosen)), names, kind='enlarged photos')


def draw(out: Path, *, count: int, edge: int) -> Photos:
    """Drawn garments in portrait format."""
    names: dict[int, str] = {}
    options = dict(seed=0, split='train', difficulty=DIFFICULTIES['easy'])

    def photos() -> Iterator[Photo]:
        for index in range(1, count + 1):
            photo, notes = render_scene(index=index, size=(edge, edge * 3 // 2), **options)
            items = [item for name, item in notes.items() if name.startswith('item')]
            names.update((item['category_id'], item['category_name']) for item in items)
            corners = ((item['category_id'], *item['bounding_box']) for item in items)
            yield photo, [(key, [x1, y1, x2 - x1, y2 - y1]) for key, x1, y1, x2, y2 in corners]

    return _write(out, tqdm(photos(), 'photos', count), names, kind='drawn garments')


def _write(out: Path, photos: Iterable[Photo], names: dict[int, str], *, kind: str) -> Photos:
    """Save photos as JPEG, and their boxes as a COCO file."""
    folder, path = out / 'photos', out / 'train.json'
    folder.mkdir()
    images, items, size = [], [], 0
    for number, (photo, boxes) in enumerate(photos, start=1):
        jpeg = cv2.imencode('.jpg', photo, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
        name, (height, width) = f'{number:06d}.jpg', photo.shape[:2]
        write_whole(folder / name, jpeg)
        size += len(jpeg)
        images.append(dict(id=number, file_name=name, width=width, height=height))
        for category, box in boxes:
            item = dict(image_id=number, category_id=category, bbox=box, area=box[2] * box[3])
            items.append(dict(item, id=len(items) + 1, iscrowd=0))
    categories = [{'id': key, 'name': name} for key, name in sorted(names.items())]
    write_whole(path, dump_json({'images': images, 'annotations': items, 'categories': categories}))
    sides = [sorted((image['width'], image['height'])) for image in images]
    description = {
        'kind': kind,
        'number': len(images),
        'boxes': len(items),
        'jpeg_quality': QUALITY,
        'short_edge': min(short for short, _ in sides),
        'median_long_edge': int(np.median([long for _, long in sides])),
        'mean_file_kib': round(size / len(images) / 1024, 1),
    }
    return Photos(folder, path, tuple(item['name'] for item in categories), description)
