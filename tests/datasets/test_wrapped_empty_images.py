"""Indices mean the same image everywhere: in wrappers, samplers and samples, with empty photos too."""

from __future__ import annotations

import pytest
from mmdet.registry import DATASETS

from mmdet_multigrain.datasets import SeededDataset
from mmdet_multigrain.datasets.samplers import ExactClassAwareSampler
from mmdet_multigrain.datasets.samplers.exact_class_aware_sampler import class_labels

EMPTY = 10, 14, 15, 16  # before, between and behind the images with boxes
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id',)),
]


def config(path, garments, drop):
    return dict(
        type='SuperclassCocoDataset',
        taxonomy=garments.to_dict(),
        ann_file=path,
        data_prefix=dict(img=path.replace('train.json', 'photos')),
        filter_cfg=dict(filter_empty_gt=drop, min_size=0),
        pipeline=PIPELINE,
    )


WRAPPED = {
    'plain': lambda one: one,
    'repeated': lambda one: dict(type='RepeatDataset', times=2, dataset=one),
    'joined': lambda one: dict(type='ConcatDataset', datasets=[one, one]),
    'balanced': lambda one: dict(type='ClassBalancedDataset', oversample_thr=1.0, dataset=one),
    'balanced parts': lambda one: dict(
        type='ConcatDataset',
        datasets=[one, dict(type='ClassBalancedDataset', oversample_thr=1.0, dataset=one)],
    ),
}


@pytest.fixture
def with_empty(content):
    """The images of `content` among images without boxes: 10, 11, 14, 12, 15, 13, 16."""
    images = {image['id']: image for image in content['images']}
    content['images'] = [
        images.get(n) or {'id': n, 'file_name': f'{n}.png', 'width': 40, 'height': 30}
        for n in (10, 11, 14, 12, 15, 13, 16)
    ]
    return content


@pytest.mark.parametrize('drop', [True, False])
@pytest.mark.parametrize('wrapper', WRAPPED)
def test_an_index_is_one_image(wrapper, drop, with_empty, write, garments):
    path = write(with_empty)
    dataset = SeededDataset(WRAPPED[wrapper](config(path, garments, drop)))
    labels_of = {11: {0, 2}, 12: {1, 4}, 13: {3}}
    labels = [*class_labels(dataset)]
    assert len(labels) == len(dataset)
    seen = set()
    for index in range(len(dataset)):
        sample = dataset[index]['data_samples']
        seen.add(sample.img_id)
        assert dataset.get_data_info(index)['img_id'] == sample.img_id
        assert labels[index] == labels_of.get(sample.img_id, set())
        assert {*sample.gt_instances.labels.tolist()} == labels[index]
        if hasattr(dataset, 'get_cat_ids'):
            assert {*dataset.get_cat_ids(index)} == labels[index]
    assert seen == {11, 12, 13, *(() if drop else EMPTY)}

    sampler = ExactClassAwareSampler(dataset, seed=0)
    for label, images in sampler.images.items():
        assert all(label in labels[index] for index in images)
    drawn = {int(index) for epoch in range(30) for index in sampler.order(epoch)}
    assert drawn == {index for index, found in enumerate(labels) if found}


def test_a_balanced_data_set_repeats_the_images_of_rare_classes(with_empty, write, garments):
    """Each class is on one image of three, or of seven: sqrt(3) = 1.7 and sqrt(7) = 2.6."""
    for drop, times in ((True, 2), (False, 3)):
        one = config(write(with_empty), garments, drop)
        dataset = DATASETS.build(WRAPPED['balanced'](one))
        ids = [dataset.get_data_info(index)['img_id'] for index in range(len(dataset))]
        assert [ids.count(n) for n in (11, 12, 13)] == [times] * 3
        assert all(ids.count(n) == (not drop) for n in EMPTY)
