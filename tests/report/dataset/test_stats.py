"""Statistics by hand, and against what the training set says of itself."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmdet_multigrain.coco.boxes import box_columns, read_coco
from mmdet_multigrain.report.dataset.stats import dataset_stats, split_stats
from mmdet_multigrain.taxonomy import Taxonomy


def test_a_split_by_hand(content, stats_of):
    stats = stats_of(content)
    shirt, vest, skirt, hat = stats.train.classes
    assert [row.name for row in stats.train.classes] == ['shirt', 'vest', 'skirt', 'hat']
    assert [row.superclass for row in stats.train.classes] == ['top', 'top', 'bottom', None]
    assert stats.train.counts == (3, 2, 1, 0) and stats.train.boxes == 6
    assert [row.images for row in stats.train.classes] == [2, 2, 1, 0]
    assert [row.listed for row in stats.train.classes] == [True, True, True, False]
    assert stats.train.boxes_per_image == (1, 1, 1, 1)
    assert stats.train.imbalance == 3
    # Sizes 10, 20, 100 pixels.
    assert (shirt.small, shirt.medium, shirt.large) == (2, 0, 1)
    assert shirt.size_px == pytest.approx((11, 15, 20, 60, 92))
    # 10 and 20 of 100, 100 of 400 pixels.
    assert shirt.size_relative[1:4] == pytest.approx((0.15, 0.2, 0.225))
    # 32 and 96 pixels lie on the bounds; they are medium.
    assert (vest.small, vest.medium, vest.large) == (0, 2, 0)
    assert (skirt.small, skirt.medium, skirt.large) == (0, 1, 0)
    assert hat.size_px is None and hat.size_relative is None


def test_superclasses_by_hand(content, stats_of):
    top, bottom, hat = stats_of(content).train.superclasses
    assert (top.name, top.boxes, top.images, top.listed) == ('top', 5, 3, True)
    assert (bottom.name, bottom.boxes, bottom.images) == ('bottom', 1, 1)
    assert (hat.name, hat.boxes, hat.listed) == ('hat', 0, False)


def test_groups_of_every_level(content, stats_of):
    deep = Taxonomy.load(
        {
            'groups': {
                'body': {'upper': {'light': ['shirt'], 'warm': ['Weste']}, 'lower': ['skirt']},
                'head': ['hat'],
            }
        }
    )
    coarse, middle, fine = stats_of(content, taxonomy=deep).train.levels
    found = [(row.name, row.boxes, row.images, row.listed) for row in coarse]
    assert found == [('body', 6, 3, True), ('head', 0, 0, False)]
    found = {row.name: (row.boxes, row.images) for row in middle}
    assert found == {'upper': (5, 3), 'lower': (1, 1), 'hat': (0, 0)}
    found = {row.name: (row.boxes, row.images) for row in fine}
    assert found['light'] == (3, 2) and found['warm'] == (2, 2)


def test_crowds_count_apart_but_are_sampled(content, stats_of):
    content['annotations'][4]['iscrowd'] = 1  # the only skirt
    stats = stats_of(content, thresholds=[1.0])
    assert stats.train.counts == (3, 2, 0, 0) and stats.train.crowds == 1
    assert stats.train.classes[2].crowds == 1 and stats.train.classes[2].images == 0
    assert stats.resamplings[0].class_factors[2] == pytest.approx(3**0.5)


def test_boxes_of_a_superclass_count_on_its_levels(content, stats_of):
    content['categories'] += [{'id': 8, 'name': 'TOP'}, {'id': 9, 'name': 'object'}]
    content['annotations'] += [
        {'image_id': 4, 'category_id': category, 'bbox': [0, 0, 30, 30], 'iscrowd': crowd}
        for category, crowd in ((8, 0), (8, 0), (8, 1), (9, 0))
    ]
    stats = stats_of(content, thresholds=[1.0])
    train = stats.train
    assert train.counts == (3, 2, 1, 0) and (train.boxes, train.coarse_boxes) == (9, 3)
    assert train.crowds == 1 and train.boxes_per_image == (0, 1, 1, 2)
    top, any_object = train.coarse
    assert (top.name, top.boxes, top.images, top.crowds, top.small) == ('top', 2, 1, 1, 2)
    assert (any_object.name, any_object.boxes) == ('object', 1)
    assert [(row.name, row.boxes, row.images) for row in train.superclasses] == [
        ('top', 7, 4), ('bottom', 1, 1), ('hat', 0, 0)
    ]  # fmt: skip
    assert (
        stats.coarse_labels == (5, 6) and train.of_label(5) is top and train.of_label(0).boxes == 3
    )
    assert stats.rarest == (2,) and stats.by_count == (0, 1, 2, 3)
    assert stats.resamplings[0].num_images == 4


def test_rarest_and_order(content, stats_of):
    stats = stats_of(content)
    assert stats.rarest == (2,)  # class 3 has no boxes
    assert stats.by_count == (0, 1, 2, 3)


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=30).filter(any))
def test_the_last_of_the_order_are_the_rarest(counts):
    taxonomy = Taxonomy('t', [f'c{label}' for label in range(len(counts))])
    content = {
        'images': [{'id': 1}],
        'categories': [{'id': 1 + label, 'name': f'c{label}'} for label in range(len(counts))],
        'annotations': [
            {'image_id': 1, 'category_id': 1 + label, 'bbox': [0, 0, 9, 9]}
            for label, count in enumerate(counts)
            for _ in range(count)
        ],
    }
    stats = dataset_stats([('f', box_columns(content, taxonomy, 'f'))])
    learned = stats.by_count[: stats.num_learned]  # then come classes without boxes
    assert learned[-len(stats.rarest) :] == tuple(reversed(stats.rarest))
    assert all(counts[label] for label in learned)
    assert sorted(counts, reverse=True) == [counts[label] for label in stats.by_count]


def test_sizes_of_images_of_unknown_size(content, stats_of):
    del content['images'][0]['width']
    shirt = stats_of(content).train.classes[0]
    assert shirt.size_px[2] == 20 and shirt.size_relative == (0.25,) * 5


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_against_loops(seed):
    rng = np.random.default_rng(seed)
    taxonomy = Taxonomy.load({'top': ['a', 'b'], 'bottom': ['c', 'd']})
    content = {
        'images': [{'id': n, 'width': 300, 'height': 200} for n in range(8)],
        'categories': [{'id': 1 + n, 'name': name} for n, name in enumerate(taxonomy.classes)],
        'annotations': [
            {
                'image_id': int(rng.integers(8)),
                'category_id': int(rng.integers(1, 5)),
                'bbox': rng.integers(1, 150, 4).tolist(),
                'iscrowd': int(rng.random() < 0.2),
            }
            for _ in range(int(rng.integers(1, 40)))
        ]
        + [{'image_id': 0, 'category_id': 1, 'bbox': [0, 0, 8, 8]}],
    }
    split = split_stats('f', box_columns(content, taxonomy, 'f'))
    kept = [item for item in content['annotations'] if not item.get('iscrowd')]
    assert split.boxes == len(kept)
    for label, row in enumerate(split.classes):
        mine = [item for item in kept if item['category_id'] == label + 1]
        sides = [(item['bbox'][2] * item['bbox'][3]) ** 0.5 for item in mine]
        assert row.boxes == len(mine)
        assert row.images == len({item['image_id'] for item in mine})
        assert row.small == sum(side < 32 for side in sides)
        assert row.large == sum(side > 96 for side in sides)
        if mine:
            assert row.size_px[2] == pytest.approx(np.median(sides))
            assert row.size_relative[2] == pytest.approx(np.median(sides) / 60000**0.5)
    for group, row in enumerate(split.superclasses):
        mine = [item for item in kept if (item['category_id'] - 1) // 2 == group]
        assert (row.boxes, row.images) == (len(mine), len({item['image_id'] for item in mine}))
    per_image = [sum(item['image_id'] == n for item in kept) for n in range(8)]
    assert split.boxes_per_image == tuple(np.bincount(per_image).tolist())


@pytest.mark.parametrize('coarse', [False, True])
def test_same_boxes_and_epoch_as_in_training(coarse, content, taxonomy, tmp_path):
    pytest.importorskip('mmdet')
    from mmengine.dataset import ClassBalancedDataset

    from mmdet_multigrain.datasets import SuperclassCocoDataset

    content['annotations'] += [
        {'image_id': 1, 'category_id': 3, 'bbox': box, **more}
        for box, more in (
            ([200, 0, 9, 9], {}),
            ([0, 0, 0.5, 9], {}),
            ([0, 0, 9, 9], {'ignore': 1}),
            ([3, 3, 9, 9], {'area': 0}),
            ([3, 3, 9, 9], {'iscrowd': 1}),
            ([-5, -5, 6, 6], {}),
        )
    ]
    if coarse:  # on the image without other boxes
        content['categories'].append({'id': 9, 'name': 'top'})
        content['annotations'].append({'image_id': 4, 'category_id': 9, 'bbox': [0, 0, 9, 9]})
    path = tmp_path / 'train.json'
    path.write_text(json.dumps(content))
    for image in content['images']:
        Image.new('RGB', (image['width'], image['height'])).save(tmp_path / image['file_name'])
    trained = SuperclassCocoDataset(
        ann_file=str(path),
        taxonomy=taxonomy,
        data_prefix={'img': str(tmp_path)},
        pipeline=[],
        filter_cfg={'filter_empty_gt': True},
        allow_missing=True,
    )
    stats = dataset_stats(
        [('train', box_columns(read_coco(path), taxonomy, path))], thresholds=[0.3, 0.9]
    )
    assert list(stats.train.counts) == trained.box_counts == [3, 2, 3, 0]
    assert [row.boxes for row in stats.train.coarse] == trained.coarse_counts == [coarse, 0]
    for resampling in stats.resamplings:
        assert resampling.num_images == len(trained) == 3 + coarse
        assert resampling.epoch == len(ClassBalancedDataset(trained, resampling.threshold))
    assert stats.resamplings[1].epoch > 3


def test_real_photos(ccp):
    content = read_coco(ccp / 'train.json')
    taxonomy = Taxonomy.from_coco(content)
    stats = dataset_stats([('train', box_columns(content, taxonomy, 'train.json'))])
    counts = dict(zip(taxonomy.classes, stats.train.counts, strict=True))
    assert (stats.train.boxes, counts['shoes'], counts['sneakers']) == (3708, 550, 6)
    assert len(stats.rarest) == 13 and taxonomy.classes[stats.rarest[0]] == 'sneakers'
    assert sum(row.boxes for row in stats.train.superclasses) == 3708
