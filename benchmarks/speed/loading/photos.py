"""Photos for the benchmark of the loader: enlarged ones, or drawn garments."""

from __future__ import annotations

from collections.abc import Iterator
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


@dataclass(frozen=True)
class Photos:
    """A COCO data set on the disk.

    Attributes:
        images: Folder of the photos.
        annotations: COCO file.
        classes: Names of its categories.
        description: What the photos are, in words and numbers.
    """

    images: Path
    annotations: Path
    classes: tuple[str, ...]
    description: dict[str, Any]


def enlarge(images: Path, annotations: Path, out: Path, *, count: int, edge: int) -> Photos:
    """The first photos of a COCO data set, scaled to a short edge of `edge` px.

    Raises:
        ValueError: The file is no COCO file, or an image cannot be read; one line.
    """
    content = load_json(annotations)
    if not isinstance(content, dict) or not content.get('images'):
        raise AnnotationError(f'{annotations}: no COCO file with images; name one')
    boxes: dict[int, list] = {}
    for item in content['annotations']:
        boxes.setdefault(item['image_id'], []).append((item['category_id'], item['bbox']))
    chosen = [entry for entry in content['images'] if entry['id'] in boxes][:count]

    def photos() -> Iterator[tuple[np.ndarray, list]]:
        for entry in chosen:
            path = images / entry['file_name']
            photo = cv2.imread(str(path))
            if photo is None:
                raise AnnotationError(f'{path}: not a readable image; check --photos')
            factor = edge / min(photo.shape[:2])
            photo = cv2.resize(photo, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
            yield (
                photo,
                [
                    (category, [factor * side for side in box])
                    for category, box in boxes[entry['id']]
                ],
            )

    names = {item['id']: item['name'] for item in content['categories']}
    return _write(out, photos(), names, total=len(chosen), kind='enlarged photos')


def draw(out: Path, *, count: int, edge: int, seed: int) -> Photos:
    """Drawn garments in portrait format."""
    names: dict[int, str] = {}

    def photos() -> Iterator[tuple[np.ndarray, list]]:
        for index in range(1, count + 1):
            photo, notes = render_scene(
                seed=seed,
                split='train',
                index=index,
                size=(edge, edge * 3 // 2),
                difficulty=DIFFICULTIES['easy'],
            )
            items = [item for name, item in notes.items() if name.startswith('item')]
            names.update((item['category_id'], item['category_name']) for item in items)
            yield (
                photo,
                [(item['category_id'], _width_height(item['bounding_box'])) for item in items],
            )

    return _write(out, photos(), names, total=count, kind='drawn garments')


def _width_height(corners: list[int]) -> list[int]:
    x1, y1, x2, y2 = corners
    return [x1, y1, x2 - x1, y2 - y1]


def _write(
    out: Path,
    photos: Iterator[tuple[np.ndarray, list]],
    names: dict[int, str],
    *,
    total: int,
    kind: str,
) -> Photos:
    """Save photos as JPEG, and their boxes as a COCO file."""
    folder = out / 'photos'
    folder.mkdir()
    images, items, size = [], [], 0
    for number, (photo, boxes) in enumerate(
        tqdm(photos, total=total, desc='photos', unit='photo'), start=1
    ):
        jpeg = cv2.imencode('.jpg', photo, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
        write_whole(folder / f'{number:06d}.jpg', jpeg)
        size += len(jpeg)
        height, width = photo.shape[:2]
        images.append(
            {'id': number, 'file_name': f'{number:06d}.jpg', 'width': width, 'height': height}
        )
        items += [
            {
                'id': len(items) + n,
                'image_id': number,
                'category_id': category,
                'bbox': box,
                'area': box[2] * box[3],
                'iscrowd': 0,
            }
            for n, (category, box) in enumerate(boxes, start=1)
        ]
    categories = [{'id': key, 'name': name} for key, name in sorted(names.items())]
    path = out / 'train.json'
    write_whole(path, dump_json({'images': images, 'annotations': items, 'categories': categories}))
    description = {
        'kind': kind,
        'number': len(images),
        'boxes': len(items),
        'jpeg_quality': QUALITY,
        'short_edge': min(min(image['width'], image['height']) for image in images),
        'median_long_edge': int(
            np.median([max(image['width'], image['height']) for image in images])
        ),
        'mean_file_kib': round(size / len(images) / 1024, 1),
    }
    return Photos(folder, path, tuple(item['name'] for item in categories), description)
