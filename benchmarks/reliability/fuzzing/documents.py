"""Valid documents of every kind that the readers read, small and drawn by Hypothesis.

How they are damaged belongs in `mutations`, what reads them in `readers`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy], Any]

CLASSES = ('shirt', 'vest', 'skirt', 'hat')
TAXONOMY = {
    'name': 'garments',
    'groups': {'top': ['shirt', 'vest'], 'bottom': ['skirt']},
    'ungrouped': ['hat'],
    'classes': list(CLASSES),
    'aliases': {'vest': ['gilet']},
}
IMAGE_SIZE = (64, 80)
LABEL_NAMES = {
    '/m/01n4qj': 'Shirt',
    '/m/02wv6h6': 'Skirt',
    '/m/02dl1y': 'Hat',
    '/m/09j2d': 'Clothing',
    '/m/0c_jw': 'Furniture',
    '/m/0hf58v5': 'Luggage',
    '/m/011k07': 'Tortoise',
    '/m/0bl9f': 'Entity',
}
_BOX_COLUMNS = (
    'ImageID Source LabelName Confidence XMin XMax YMin YMax '
    'IsOccluded IsTruncated IsGroupOf IsDepiction IsInside'
).split()
_NAMES = st.sampled_from(['shirt', 'vest', 'skirt', 'hat', 'top', 'sun hat', 'T_shirt', 'bas', 'é'])
_SMALL = st.integers(0, 40)
_SIDE = st.integers(1, 40)


@st.composite
def taxonomies(draw: Draw) -> dict[str, Any]:
    """A mapping as a taxonomy's YAML file holds it: bare groups, or with all keys."""
    names = draw(st.lists(_NAMES, min_size=2, max_size=6, unique=True))
    cut = draw(st.integers(1, len(names) - 1))
    groups: dict[str, Any] = {'one': names[:cut]}
    ungrouped = names[cut:]
    if len(ungrouped) > 1:
        flat, nested = ungrouped, [ungrouped[0], {'inner': ungrouped[1:]}]
        groups['other'] = draw(st.sampled_from([flat, {'inner': flat}, nested]))
        ungrouped = []
    if draw(st.booleans()) and not ungrouped:
        return groups
    mapping = {
        'name': 'drawn',
        'description': 'a few',
        'groups': groups,
        'ungrouped': ungrouped,
        'classes': names,
        'aliases': {names[0]: ['other name']},
    }
    for key in draw(st.lists(st.sampled_from(['name', 'description', 'classes', 'aliases']))):
        mapping.pop(key, None)
    if draw(st.booleans()):
        mapping['levels'] = draw(st.integers(2, 4))
    return mapping


def _coco(image_ids: Iterable[int], annotations: list[dict[str, Any]]) -> dict[str, Any]:
    """A COCO file of the four classes; boxes lack 'id', 'area' and 'iscrowd' unless given."""
    parents = {name: group for group, names in TAXONOMY['groups'].items() for name in names}
    width, height = IMAGE_SIZE
    return {
        'images': [
            {'id': image_id, 'file_name': f'{image_id}.jpg', 'width': width, 'height': height}
            for image_id in image_ids
        ],
        'annotations': [
            {'id': number, 'area': one['bbox'][2] * one['bbox'][3], 'iscrowd': 0} | one
            for number, one in enumerate(annotations, start=1)
        ],
        'categories': [
            {'id': number, 'name': name, 'supercategory': parents.get(name, '')}
            for number, name in enumerate(CLASSES, start=1)
        ],
    }


@st.composite
def coco_files(draw: Draw) -> dict[str, Any]:
    """A COCO file of up to three images, six boxes and the four classes."""
    image_ids = draw(st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True))
    annotations = [
        {
            'image_id': draw(st.sampled_from(image_ids)),
            'category_id': draw(st.integers(1, len(CLASSES))),
            'bbox': [draw(side) for side in (_SMALL, _SMALL, _SIDE, _SIDE)],
            'iscrowd': draw(st.sampled_from([0, 0, 0, 1])),
        }
        for _ in range(draw(st.integers(1, 6)))
    ]
    return _coco(image_ids, annotations)


def fixed_coco() -> dict[str, Any]:
    """Ground truth for files that need one."""
    boxes = {label: [5 * label, 4, 20, 30] for label in (1, 2, 3, 4)}
    return _coco(
        (1, 2),
        [
            {'image_id': label % 2 + 1, 'category_id': label, 'bbox': box}
            for label, box in boxes.items()
        ],
    )


@st.composite
def deepfashion2_items(draw: Draw) -> dict[str, Any]:
    """One annotation file of DeepFashion2."""
    document: dict[str, Any] = {'source': 'user', 'pair_id': 7}
    names = {1: 'short sleeve top', 8: 'trousers', 13: 'sling dress'}
    fixed = {'scale': 2, 'viewpoint': 1, 'zoom_in': 1, 'style': 1, 'occlusion': 2}
    for number in range(1, draw(st.integers(1, 3)) + 1):
        x, y = draw(_SMALL), draw(_SMALL)
        category = draw(st.sampled_from([*names]))
        document[f'item{number}'] = fixed | {
            'segmentation': [[x, y, x + 9, y, x + 9, y + 9]],
            'landmarks': [x, y, 2] * 3,
            'bounding_box': [x, y, x + draw(_SIDE), y + draw(_SIDE)],
            'category_id': category,
            'category_name': names[category],
        }
    return document


@st.composite
def openimages_boxes(draw: Draw) -> list[list[Any]]:
    """Rows of a box file of Open Images."""
    fractions = st.integers(0, 100).map(lambda value: value / 200)
    rows: list[list[Any]] = [list(_BOX_COLUMNS)]
    for _ in range(draw(st.integers(1, 5))):
        image = draw(st.sampled_from(['0001', '0002', '0003']))
        label = draw(st.sampled_from([*LABEL_NAMES]))
        x, y = draw(fractions), draw(fractions)
        flags = [draw(st.sampled_from([0, 1, -1])) for _ in range(5)]
        rows.append([image, 'xclick', label, 1, x, x + 0.4, y, y + 0.3, *flags])
    return rows


@st.composite
def openimages_sizes(draw: Draw) -> list[list[Any]]:
    """Rows of a file of image sizes."""
    rows = [[f'000{number}', draw(st.integers(1, 2000)), 768.0] for number in (1, 2, 3)]
    return [['ImageID', 'Width', 'Height'], *rows]


@st.composite
def descriptions(draw: Draw) -> list[list[str]]:
    """Rows of Open Images' class descriptions, with or without a header."""
    head = draw(st.sampled_from([[], [['LabelName', 'DisplayName']]]))
    return [*head, *map(list, LABEL_NAMES.items())]


@st.composite
def hierarchies(draw: Draw) -> dict[str, Any]:
    """Open Images' class hierarchy: some leaves below clothing, perhaps at a second place."""
    leaves = [{'LabelName': name} for name in list(LABEL_NAMES)[:3]]
    cut = draw(st.integers(1, 2))
    luggage = {'LabelName': '/m/0hf58v5', 'Subcategory': leaves[cut:]}
    clothing = {
        'LabelName': '/m/09j2d',
        'Subcategory': [*leaves[:cut], luggage],
        'Part': [{'LabelName': '/m/011k07'}] if draw(st.booleans()) else [],
    }
    return {
        'LabelName': '/m/0bl9f',
        'Subcategory': [clothing, {'LabelName': '/m/0c_jw'}, leaves[0]],
    }


@st.composite
def detections(draw: Draw) -> list[dict[str, Any]]:
    """Detections in COCO's results format, on the images of `fixed_coco`."""
    return [
        {
            'image_id': draw(st.integers(1, 2)),
            'category_id': draw(st.integers(1, 4)),
            'bbox': [draw(side) for side in (_SMALL, _SMALL, _SIDE, _SIDE)],
            'score': draw(st.integers(0, 100)) / 100,
        }
        for _ in range(draw(st.integers(0, 5)))
    ]


@st.composite
def answer_rules(draw: Draw) -> dict[str, Any]:
    """A theta.json as tools/calibrate.py writes it, for `TAXONOMY`."""
    curve = {
        'platt': {'slope': draw(st.floats(0, 3)), 'offset': draw(st.floats(-3, 3))},
        'isotonic': {'x': [0.1, 0.4, draw(st.floats(0.5, 1))], 'y': [0.0, 0.3, 0.3]},
    }
    kind = draw(st.sampled_from(['platt', 'isotonic', 'none']))
    theta = draw(st.none() | st.floats(-1, 1))
    return {
        'version': 1,
        'accuracy': 0.9,
        'theta': theta,
        'reason': 'too few photos' if theta is None else None,
        'calibrator': {'type': kind, 'levels': [curve[kind]] * 2 if kind in curve else []},
        'taxonomy': TAXONOMY,
        'checkpoint': {'name': 'iter_9.pth', 'digest': '0' * 64, 'fusion': None},
        'score_thr': 0.3,
        'photos': {'theta': 60},
        'promise': 'at most 10% wrong',
        'seen': {'wrong': 0.1},
    }


@st.composite
def class_vectors(draw: Draw) -> dict[str, list[float]]:
    """A vector of each class, all of one length."""
    length = draw(st.integers(1, 4))
    names = draw(st.lists(_NAMES, min_size=4, max_size=8, unique=True))
    numbers = st.lists(st.floats(-9, 9), min_size=length, max_size=length)
    return {name: draw(numbers) for name in names}


@functools.cache
def _result() -> dict[str, Any]:
    from mmdet_multigrain import evaluation
    from mmdet_multigrain.evaluation.result_file import to_dict
    from mmdet_multigrain.taxonomy import Taxonomy

    taxonomy = Taxonomy.load(TAXONOMY)
    truth = evaluation.GroundTruth.from_annotations(
        [1, 2], fixed_coco()['annotations'], range(1, 5)
    )
    found = evaluation.Detections(
        truth.images[:3], truth.labels[:3], truth.boxes[:3], truth.areas[:3] / 1e3
    )
    groups = [taxonomy.group_index(level) for level in (0, 1)]
    levels = evaluation.evaluate_levels(truth, found, groups)
    run = evaluation.RunRecord(
        config='configs/wgroup_r18.py',
        checkpoint='iter_9.pth',
        iteration=9,
        seed=3,
        command='test.py',
        git_revision='0' * 40,
        versions={'torch': '2'},
    )
    return to_dict(
        evaluation.Result(
            summary=evaluation.summarize(levels, taxonomy, (9, 5, 7, 1)),
            taxonomy=taxonomy,
            ann_file='val.json',
            train_ann_file='train.json',
            detections_file='result.bbox.json',
            run=run,
        )
    )


def results() -> st.SearchStrategy[dict[str, Any]]:
    """A result.json as a test leaves it."""
    return st.builds(_result)
