"""A small release of DeepFashion2 to convert."""

import json

from PIL import Image

from mmdet_multigrain.converters.deepfashion2 import convert
from mmdet_multigrain.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load('deepfashion2')


def item(name='vest', box=(10, 20, 60, 90), **changes):
    return {
        'segmentation': [[10, 20, 60, 20, 60, 90]],
        'scale': 2,
        'viewpoint': 2,
        'zoom_in': 1,
        'landmarks': [0] * 45,
        'style': 1,
        'bounding_box': list(box),
        'occlusion': 1,
        'category_id': TAXONOMY.classes.index(name) + 1 if name in TAXONOMY.classes else 1,
        'category_name': name,
    } | changes


def write(root, number, annotation, *, split='train', size=(100, 120), suffix='.jpg'):
    """An image and its annotation; None leaves one out, bytes are written as they are."""
    for kind in ('image', 'annos'):
        (root / split / kind).mkdir(parents=True, exist_ok=True)
    if size is not None:
        Image.new('RGB', size).save(root / split / 'image' / f'{number:06d}{suffix}')
    if annotation is not None:
        content = annotation if isinstance(annotation, bytes) else json.dumps(annotation).encode()
        (root / split / 'annos' / f'{number:06d}.json').write_bytes(content)


def annotation_of(*items):
    return {'source': 'user', 'pair_id': 7, **{f'item{n}': i for n, i in enumerate(items, 1)}}


def run(root, **options):
    summary = convert(root, 'train', progress=False, **options)
    return summary, json.loads(summary.out_file.read_bytes())
