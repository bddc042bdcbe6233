"""Four photos with ground truth, a right and a wrong run, and calls of browse.py on them."""

from __future__ import annotations

import csv
import json

import numpy as np
from PIL import Image

from .conftest import call

CLASSES = [('shirt', 'top'), ('vest', 'top'), ('юбка', 'bottom'), ('<b>hat</b>', 'head & hair')]
# image, category, box of the ground truth
TRUTH = [
    (1, 1, [10, 10, 40, 40]),
    (1, 3, [10, 60, 40, 50]),
    (2, 2, [20, 20, 50, 50]),
    (3, 4, [30, 5, 30, 20]),
    (4, 1, [0, 0, 96, 120]),
]
RIGHT = [(*row, 0.9) for row in TRUTH]
WRONG = [
    (1, 2, [10, 10, 40, 40], 0.8),  # the shirt, within its superclass
    (1, 1, [10, 60, 40, 50], 0.7),  # the skirt, another superclass
    (2, 2, [45, 20, 50, 50], 0.6),  # poor box
    (3, 4, [30, 5, 30, 20], 0.9),
    (3, 4, [31, 5, 30, 20], 0.55),  # twice
    (4, 3, [0, 0, 8, 8], 0.95),
]  # background; the shirt is missed


def browse(*arguments):
    return call('analysis_tools/browse', *arguments)


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def detections(rows):
    return [
        {'image_id': image, 'category_id': category, 'bbox': box, 'score': score}
        for image, category, box, score in rows
    ]


def make_photos(folder):
    """Four photos, their ground truth, a run that is right and one that is wrong."""
    (folder / 'images' / 'deep').mkdir(parents=True)
    images = []
    for number in range(1, 5):
        name = f'deep/photo {number} ü.jpg'
        pixels = np.random.default_rng(number).integers(0, 255, (120, 96, 3), np.uint8)
        Image.fromarray(pixels).save(folder / 'images' / name)
        images.append({'id': number, 'file_name': name, 'width': 96, 'height': 120})
    write(
        folder / 'truth.json',
        {
            'images': images,
            'categories': [
                {'id': number, 'name': name, 'supercategory': group}
                for number, (name, group) in enumerate(CLASSES, 1)
            ],
            'annotations': [
                {
                    'id': number,
                    'image_id': image,
                    'category_id': category,
                    'bbox': box,
                    'area': box[2] * box[3],
                    'iscrowd': 0,
                }
                for number, (image, category, box) in enumerate(TRUTH, 1)
            ],
        },
    )
    write(folder / 'good.json', detections(RIGHT))
    write(folder / 'bad.json', detections(WRONG))
    return folder


def options(data, out, *runs):
    return [
        *(data / f'{run}.json' for run in runs),
        '--ann-file',
        data / 'truth.json',
        '--images',
        data / 'images',
        '--out',
        out,
        '--score-thr',
        '0.5',
    ]


def rows_of(out):
    with open(out / 'index.csv', encoding='utf-8', newline='') as file:
        return [*csv.DictReader(file)]


def pictures_of(out):
    return sorted(path.relative_to(out).as_posix() for path in out.rglob('*.jpg'))
