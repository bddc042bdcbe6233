"""A small COCO content by hand, and the way from a content to its statistics."""

from __future__ import annotations

import copy

import pytest

from mmdet_multigrain.coco.boxes import box_columns
from mmdet_multigrain.report.dataset.stats import dataset_stats
from mmdet_multigrain.taxonomy import Taxonomy

# Image id -> boxes: category id, x, y, width, height. The first image is 100 x 100, the others
# 400 x 400 pixels. Sizes: 10, 20 | 100, 40, 32 | 96.
BOXES = {
    1: [(1, 0, 0, 5, 20), (1, 10, 10, 40, 10)],
    2: [(1, 0, 0, 200, 50), (2, 5, 5, 40, 40), (3, 1, 1, 16, 64)],
    3: [(2, 9, 9, 96, 96)],
    4: [],
}


@pytest.fixture
def taxonomy() -> Taxonomy:
    """Four classes: two tops, one bottom, one without superclass that has no boxes."""
    return Taxonomy.load(
        {
            'name': 'few',
            'groups': {'top': ['shirt', 'vest'], 'bottom': ['skirt']},
            'ungrouped': ['hat'],
            'aliases': {'vest': ['Weste']},
        }
    )


@pytest.fixture
def content() -> dict:
    """A COCO content of these classes; the vest stands under its alias, the hat is missing."""
    return copy.deepcopy(
        {
            'images': [
                {
                    'id': n,
                    'file_name': f'{n}.jpg',
                    'width': 100 if n == 1 else 400,
                    'height': 100 if n == 1 else 400,
                }
                for n in BOXES
            ],
            'categories': [
                {'id': 1, 'name': 'shirt', 'supercategory': 'top'},
                {'id': 2, 'name': 'Weste', 'supercategory': 'top'},
                {'id': 3, 'name': 'skirt', 'supercategory': 'bottom'},
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
def stats_of(taxonomy):
    """Statistics of contents, named train, val and test."""

    def compute(*contents, taxonomy=taxonomy, **kwargs):
        names = ('train', 'val', 'test')
        return dataset_stats(
            [
                (name, box_columns(content, taxonomy, name))
                for name, content in zip(names, contents, strict=False)
            ],
            **kwargs,
        )

    return compute
