"""DeepFashion2: three ways to name its classes, one set of labels."""

import json

import pytest
from mmdet.registry import DATASETS

from mmdet_multigrain.coco.writer import coco_categories
from mmdet_multigrain.datasets import DeepFashion2Dataset
from mmdet_multigrain.taxonomy import Taxonomy

RELEASE = (
    'short sleeve top',
    'long sleeve top',
    'short sleeve outwear',
    'long sleeve outwear',
    'vest',
    'sling',
    'shorts',
    'trousers',
    'skirt',
    'short sleeve dress',
    'long sleeve dress',
    'vest dress',
    'sling dress',
)
# As the release's own COCO converter writes them.
OFFICIAL = (
    'short_sleeved_shirt',
    'long_sleeved_shirt',
    'short_sleeved_outwear',
    'long_sleeved_outwear',
    'vest',
    'sling',
    'shorts',
    'trousers',
    'skirt',
    'short_sleeved_dress',
    'long_sleeved_dress',
    'vest_dress',
    'sling_dress',
)
PAPER = ('short sleeve shirt', 'Long sleeve shirt', *RELEASE[2:])
MIXED = (OFFICIAL[0], PAPER[1], RELEASE[2], OFFICIAL[3], *RELEASE[4:])


def build(tmp_path, categories, **kwargs):
    path = tmp_path / 'train.json'
    path.write_text(
        json.dumps(
            {
                'images': [{'id': 1, 'file_name': '000001.jpg', 'width': 468, 'height': 624}],
                'categories': categories,
                'annotations': [
                    {'id': n, 'image_id': 1, 'category_id': n, 'bbox': [n, n, 10, 10]}
                    for n in range(1, 14)
                ],
            }
        )
    )
    return DATASETS.build(
        dict(
            type='DeepFashion2Dataset',
            ann_file=str(path),
            data_prefix=dict(img=str(tmp_path)),
            **kwargs,
        )
    )


@pytest.mark.parametrize('names', [RELEASE, OFFICIAL, PAPER, MIXED])
@pytest.mark.parametrize('step', [1, -1])
def test_all_names_give_the_same_labels(tmp_path, names, step):
    categories = [{'id': n, 'name': name} for n, name in enumerate(names, 1)][::step]
    dataset = build(tmp_path, categories)
    instances = dataset.get_data_info(0)['instances']
    assert [(row['bbox_label'], row['bbox'][0]) for row in instances] == [
        (n - 1, n) for n in range(1, 14)
    ]
    assert dataset.metainfo['classes'] == RELEASE


def test_categories_of_our_converter(tmp_path):
    taxonomy = Taxonomy.load('deepfashion2')
    dataset = build(tmp_path, coco_categories(taxonomy))
    assert dataset.box_counts == [1] * 13
    assert Taxonomy.load(dataset.metainfo['taxonomy']) == taxonomy
    superclasses = [taxonomy.superclass_of(label) for label in range(13)]
    assert superclasses == ['top'] * 6 + ['bottom'] * 3 + ['one-piece dress'] * 4


def test_another_taxonomy_for_the_same_classes(tmp_path):
    """A study of groupings gives its own taxonomy to the same data."""
    other = Taxonomy(
        'by sleeve', RELEASE, [('short',) if 'short' in name else ('other',) for name in RELEASE]
    )
    dataset = build(tmp_path, coco_categories(other), taxonomy=other.to_dict())
    assert dataset.metainfo['taxonomy'] == other.to_dict()
    assert DeepFashion2Dataset.METAINFO['taxonomy'] == Taxonomy.load('deepfashion2').to_dict()


def test_another_data_set_is_refused(tmp_path):
    categories = [{'id': n, 'name': f'thing {n}'} for n in range(1, 14)]
    with pytest.raises(ValueError, match="train.json: 13 of 13 categories not in .*'deepfashion2'"):
        build(tmp_path, categories)
