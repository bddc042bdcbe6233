"""Small COCO files for the tests of repair."""

from pathlib import Path

from mmdet_multigrain.checks.data import CocoData

CATEGORIES = [
    {'id': 1, 'name': 'vest', 'supercategory': 'top'},
    {'id': 2, 'name': 'skirt', 'supercategory': 'bottom'},
]


def image(number=1, **fields):
    return {'id': number, 'file_name': f'{number}.jpg', 'width': 100, 'height': 80, **fields}


def box(number=1, x=10, y=20, width=30, height=40, **fields):
    return {
        'id': number,
        'image_id': 1,
        'category_id': 1,
        'bbox': [x, y, width, height],
        'area': width * height,
        'iscrowd': 0,
        **fields,
    }


def data(annotations, images=None, categories=None, photos=None):
    content = {
        'info': {'year': 2026},
        'images': [image()] if images is None else images,
        'annotations': annotations,
        'categories': CATEGORIES if categories is None else categories,
    }
    return CocoData(content, path=Path('x.json'), photos=photos)
