"""Open Images V4 clothing: 40 leaves, by display name or label name."""

import json

import pytest
from mmdet.registry import DATASETS

from mmdet_multigrain.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load('openimages_v4_clothing')


def build(tmp_path, names):
    path = tmp_path / 'train.json'
    path.write_text(
        json.dumps(
            {
                'images': [{'id': 1, 'file_name': 'a.jpg', 'width': 100, 'height': 100}],
                'categories': [{'id': n, 'name': name} for n, name in enumerate(names)],
                'annotations': [
                    {
                        'id': n + 1,
                        'image_id': 1,
                        'category_id': n,
                        'bbox': [n, 0, 10, 10],
                        'iscrowd': int(n == 7),
                    }
                    for n in range(len(names))
                ],
            }
        )
    )
    return DATASETS.build(
        dict(
            type='OpenImagesV4ClothingDataset',
            ann_file=str(path),
            data_prefix=dict(img=str(tmp_path)),
        )
    )


@pytest.mark.parametrize('kind', ['display name', 'label name', 'mixed'])
def test_labels_by_any_name(tmp_path, kind):
    mids = [
        next(alias for alias in TAXONOMY.aliases[name] if alias.startswith('/m/'))
        for name in TAXONOMY.classes
    ]
    assert len(set(mids)) == 40
    names = {
        'display name': [name.capitalize() for name in TAXONOMY.classes],
        'label name': mids,
        'mixed': [
            mid if n % 3 else name
            for n, (mid, name) in enumerate(zip(mids, TAXONOMY.classes, strict=True))
        ],
    }[kind]
    dataset = build(tmp_path, names[::-1])
    instances = dataset.get_data_info(0)['instances']
    assert [(row['bbox_label'], row['bbox'][0]) for row in instances] == [
        (39 - n, n) for n in range(40)
    ]
    # IsGroupOf boxes are crowds: there, but not counted.
    assert dataset.box_counts == [int(label != 32) for label in range(40)]
    assert instances[7]['ignore_flag'] == 1


def test_superclasses(tmp_path):
    taxonomy = Taxonomy.load(build(tmp_path, TAXONOMY.classes).metainfo['taxonomy'])
    assert taxonomy == TAXONOMY
    assert taxonomy.superclass_of('Fedora') == 'headwear'
    assert taxonomy.superclass_of('umbrella') == 'Umbrella'  # ungrouped: its own superclass


def test_a_class_above_the_leaves_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'Clothing'"):
        build(tmp_path, [*TAXONOMY.classes, 'Clothing'])
