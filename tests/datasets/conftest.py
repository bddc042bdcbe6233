"""A small COCO data set that tests scramble, break and train on."""

from __future__ import annotations

import copy
import json
import logging
from pathlib import Path

import numpy as np
import pytest
from mmdet.registry import DATASETS
from mmengine.logging import MMLogger
from PIL import Image

import mmdet_multigrain.datasets  # noqa: F401 (registers what `build` builds)

# Image id -> boxes: category id, x, y, width, height.
BOXES = {
    11: [(1, 0, 0, 10, 20), (3, 5, 5, 8, 8)],
    12: [(2, 1, 2, 30, 4), (5, 1, 1, 3, 3), (5, 9, 9, 4, 4)],
    13: [(4, 2, 2, 20, 20)],
}


@pytest.fixture
def content() -> dict:
    """Three images of 40 x 30 pixels; category n is class n - 1 of the fixture `garments`."""
    return copy.deepcopy(
        {
            'images': [
                {'id': n, 'file_name': f'{n}.png', 'width': 40, 'height': 30} for n in BOXES
            ],
            'categories': [
                {'id': number, 'name': name}
                for number, name in enumerate(('shirt', 'skirt', 'vest', 'hat', 'shorts'), 1)
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
                for number, (image, (category, *box)) in enumerate(
                    ((image, box) for image, boxes in BOXES.items() for box in boxes), 1
                )
            ],
        }
    )


@pytest.fixture
def write(tmp_path):
    """Write a COCO file `train.json` next to a folder `photos` with its images; returns its path."""

    def write_content(content) -> str:
        photos = tmp_path / 'photos'
        photos.mkdir(exist_ok=True)
        for image in content['images'] if isinstance(content, dict) else ():
            if not (photos / image['file_name']).exists():
                Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(photos / image['file_name'])
        path = tmp_path / 'train.json'
        path.write_text(json.dumps(content))
        return str(path)

    return write_content


@pytest.fixture
def log():
    """Messages that are logged from here on."""
    messages = []
    handler = logging.Handler(logging.INFO)
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)


@pytest.fixture
def build(write, garments):
    """Build a data set from a content, through the registry as a Runner does."""

    def build_dataset(content, **kwargs):
        path = Path(write(content))
        config = dict(
            type='SuperclassCocoDataset',
            taxonomy=garments.to_dict(),
            data_root=str(path.parent),
            ann_file=path.name,
            data_prefix=dict(img='photos/'),
        )
        return DATASETS.build({**config, **kwargs})

    return build_dataset
