"""Boxes without a class in the data set: labels, ignore regions, counts, and what balances classes."""

from functools import partial

import pytest
from mmdet.registry import DATA_SAMPLERS, DATASETS

from mmdet_multigrain.taxonomy import Taxonomy, TaxonomyError
from mmdet_multigrain.utils.errors import ConfigError

TOP, BOTTOM, OBJECT = 6, 7, 8  # of `garments`
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs'),
]


@pytest.fixture
def coarse(content):
    """The content with four more boxes: two tops, an object and a belt; image 14 has one top only.

    A category without boxes, as parents often are, has the name of the other group.
    """
    content['categories'] += [
        {'id': number, 'name': name}
        for number, name in ((20, 'Top'), (21, 'object'), (22, 'bottom'), (23, 'belt'))
    ]
    content['images'].append({'id': 14, 'file_name': '14.png', 'width': 40, 'height': 30})
    for number, (image, category) in enumerate([(11, 20), (14, 20), (13, 21), (12, 23)], 100):
        content['annotations'].append(
            {'id': number, 'image_id': image, 'category_id': category, 'bbox': [3, 4, 20, 10]}
        )
    return content


@pytest.fixture
def build(build):
    """Without the images that have no box."""
    return partial(build, filter_cfg=dict(filter_empty_gt=True))


def labels(dataset):
    """Image id -> (label, is ignored) of each instance."""
    infos = map(dataset.get_data_info, range(len(dataset)))
    return {
        info['img_id']: sorted((row['bbox_label'], row['ignore_flag']) for row in info['instances'])
        for info in infos
    }


def test_a_category_with_the_name_of_a_group_becomes_its_label(coarse, build, log):
    dataset = build(coarse, allow_unknown=True)
    assert labels(dataset) == {
        11: [(0, 0), (2, 0), (TOP, 0)],
        12: [(1, 0), (4, 0), (4, 0)],
        13: [(3, 0), (OBJECT, 0)],
        14: [(TOP, 0)],  # kept, although it has coarse boxes only
    }
    assert dataset.box_counts == [1, 1, 1, 1, 2]
    assert dataset.coarse_counts == [2, 0, 1] and dataset.num_ignored == 0
    assert len(dataset.metainfo['classes']) == 5
    assert (
        log[-1] == f'{dataset.ann_file}: 4 images, 6 boxes of 5 classes, 3 with a superclass only'
    )
    sample = build(coarse, allow_unknown=True, pipeline=PIPELINE)[0]['data_samples']
    assert sorted(sample.gt_instances.labels.tolist()) == [0, 2, TOP]


def test_coarse_boxes_as_ignore_regions(coarse, build, log):
    dataset = build(coarse, allow_unknown=True, coarse='ignore', pipeline=PIPELINE)
    assert labels(dataset)[11] == [(0, 0), (2, 0), (TOP, 1)]
    assert labels(dataset)[14] == [(TOP, 1)]
    assert dataset.coarse_counts == [0, 0, 0] and dataset.num_ignored == 3
    assert log[-1].endswith('6 boxes of 5 classes; ignores 3 boxes without a class')
    sample = dataset[0]['data_samples']
    assert sorted(sample.gt_instances.labels.tolist()) == [0, 2]
    assert sample.ignored_instances.bboxes.tensor.tolist() == [[3, 4, 23, 14]]


def test_unknown_boxes(coarse, build, log):
    with pytest.raises(TaxonomyError, match="1 of 8 categories not in .*'belt'"):
        build(coarse)
    assert len(labels(build(coarse, allow_unknown=True))[12]) == 3
    dataset = build(coarse, unknown='ignore')
    assert labels(dataset)[12] == [(1, 0), (4, 0), (4, 0), (OBJECT, 1)]
    assert dataset.num_ignored == 1 and dataset.coarse_counts == [2, 0, 1]
    note = f"{dataset.ann_file}: ignored 1 boxes of classes that taxonomy 'garments' lacks: 'belt'"
    assert note in log


def test_a_class_that_is_also_a_group_is_the_class(content, build):
    """The fish case: "shirt" is annotated, and the superclass of "vest"."""
    fish = Taxonomy.load({'shirt': ['shirt', 'vest'], 'other': ['skirt', 'hat', 'shorts']})
    dataset = build(content, taxonomy=fish.to_dict())
    assert dataset.box_counts[fish.label_of('shirt')] == 1 and not any(dataset.coarse_counts)
    # Left out of the taxonomy, it is the superclass.
    without = Taxonomy.load({'shirt': ['vest', 'tie'], 'other': ['skirt', 'hat', 'shorts']})
    dataset = build(content, taxonomy=without.to_dict(), allow_missing=True)
    assert dataset.coarse_counts == [1, 0, 0] and dataset.box_counts[without.label_of('vest')] == 1


def test_only_coarse_boxes_are_enough_to_train_on(content, build):
    content['categories'].append({'id': 20, 'name': 'top'})
    for row in content['annotations']:
        row['category_id'] = 20
    dataset = build(content)
    assert dataset.box_counts == [0] * 5 and dataset.coarse_counts == [6, 0, 0]


@pytest.mark.parametrize('argument', ['coarse', 'unknown', 'on_bad_image'])
def test_wrong_arguments(content, build, argument):
    with pytest.raises(ConfigError, match=f"train.json: {argument} is 'drop', not '"):
        build(content, **{argument: 'drop'})


def test_crowds_stay_crowds(coarse, build):
    coarse['annotations'][6]['iscrowd'] = 1  # the top in image 11
    dataset = build(coarse, allow_unknown=True)
    assert dataset.coarse_counts == [1, 0, 1]
    assert labels(dataset)[11] == [(0, 0), (2, 0), (TOP, 1)]
    # Nobody asked for ignore regions, which stock assigners do not know.
    assert dataset.num_ignored == 0
    assert build(coarse, unknown='ignore').num_ignored == 1  # the belt
    assert build(coarse, allow_unknown=True, coarse='ignore').num_ignored == 3


def test_samplers_that_balance_classes_see_classes_only(coarse, build):
    dataset = build(coarse, allow_unknown=True)
    assert [sorted(dataset.get_cat_ids(i)) for i in range(4)] == [[0, 2], [1, 4, 4], [3], []]
    # Stock's ClassAwareSampler has a list of images for each class, and no more.
    sampler = DATA_SAMPLERS.build(dict(type='ClassAwareSampler', dataset=dataset, seed=0))
    assert sampler.cat_dict == {0: [0], 1: [1], 2: [0], 3: [2], 4: [1]}
    # Each class is on 1 of 4 images: sqrt(1 / (1 / 4)) = 2; a superclass repeats nothing.
    balanced = DATASETS.build(
        dict(type='ClassBalancedDataset', dataset=dataset, oversample_thr=1.0)
    )
    assert balanced.repeat_indices == [0, 0, 1, 1, 2, 2, 3]
