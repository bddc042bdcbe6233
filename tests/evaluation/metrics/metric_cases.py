"""Annotations, samples and runs of the metric for its tests."""

import json

import torch

from mmdet_multigrain.datasets import taxonomy_metainfo
from mmdet_multigrain.evaluation.metrics.multi_grained_coco_metric import MultiGrainedCocoMetric
from mmdet_multigrain.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load({'top': ['vest', 'sling'], 'bottom': ['shorts', 'skirt', 'jeans']})
SIX = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')


def coco_content(boxes, num_images, cat_ids=(1, 2, 3, 4, 5), names=TAXONOMY.classes):
    """Boxes: (image id, label, x, y, width, height); image ids run from 1."""
    return {
        'images': [
            {'id': n, 'file_name': f'{n}.jpg', 'width': 640, 'height': 480}
            for n in range(1, num_images + 1)
        ],
        'categories': [{'id': cat_ids[label], 'name': name} for label, name in enumerate(names)],
        'annotations': [
            {
                'id': number,
                'image_id': image,
                'category_id': cat_ids[label],
                'bbox': [float(v) for v in box],
                'area': float(box[2] * box[3]),
                'iscrowd': 0,
            }
            for number, (image, label, *box) in enumerate(boxes, start=1)
        ],
    }


def write(path, content):
    path.write_text(json.dumps(content))
    return str(path)


def sample(image_id, rows):
    """Rows: label, x, y, width, height, score."""
    rows = torch.tensor(rows, dtype=torch.float32).reshape(-1, 6)
    corners = torch.cat([rows[:, 1:3], rows[:, 1:3] + rows[:, 3:5]], dim=1)
    return {
        'img_id': image_id,
        'ori_shape': (480, 640),
        'pred_instances': {'bboxes': corners, 'scores': rows[:, 5], 'labels': rows[:, 0].long()},
    }


def perfect(boxes, num_images):
    return [
        sample(n, [(*box[1:], 0.9) for box in boxes if box[0] == n])
        for n in range(1, num_images + 1)
    ]


def run(samples, ann_file=None, kind=MultiGrainedCocoMetric, taxonomy=TAXONOMY, **kwargs):
    metric = kind(ann_file=ann_file, **kwargs)
    metric.dataset_meta = taxonomy_metainfo(taxonomy)
    for data_sample in samples:
        metric.process({}, [data_sample])
    return metric.evaluate(size=len(samples))


BOXES = [
    (1, 0, 10, 10, 20, 20),
    (1, 1, 100, 10, 50, 50),
    (2, 2, 10, 10, 120, 120),
    (2, 3, 200, 200, 40, 60),
    (3, 4, 300, 50, 60, 60),
    (3, 0, 20, 30, 100, 110),
]
