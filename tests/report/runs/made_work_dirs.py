"""Ground truth and detections of a few garments."""

import json

from mmdet_multigrain.taxonomy import Taxonomy

# Category ids that are no labels, in an order that is not theirs.
IDS = {'vest': 30, 'sling': 10, 'skirt': 20}
BOX = [5.0, 5.0, 20.0, 40.0]


GARMENTS = Taxonomy.load(
    {'name': 'g', 'groups': {'top': ['vest', 'sling']}, 'ungrouped': ['skirt']}
)


def ground_truth(**changes):
    content = {
        'images': [
            {'id': number, 'file_name': f'{number}.jpg', 'width': 60, 'height': 80}
            for number in (7, 8, 9)
        ],
        'annotations': [
            {
                'id': number,
                'image_id': image,
                'category_id': IDS[name],
                'bbox': BOX,
                'iscrowd': 0,
                'area': 800,
            }
            for number, (image, name) in enumerate([(7, 'vest'), (8, 'skirt'), (8, 'sling')], 1)
        ],
        'categories': [
            {'id': number, 'name': name, 'supercategory': 'none' if name == 'skirt' else 'top'}
            for name, number in IDS.items()
        ],
    }
    return content | changes


def found(image, name, score, box=BOX):
    return {'image_id': image, 'category_id': IDS[name], 'bbox': box, 'score': score}


DETECTIONS = [found(7, 'vest', 0.9), found(8, 'vest', 0.8), found(8, 'skirt', 0.7)]


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def edit(path, **changes):
    content = json.loads(path.read_text())
    content.update(changes)
    path.write_text(json.dumps(content))
    return path
