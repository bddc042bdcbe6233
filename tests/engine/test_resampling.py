"""What the log says before training of images that come more often than others."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from mmdet.registry import DATASETS
from mmengine.dataset import BaseDataset

from mmdet_multigrain.datasets import SeededDataset
from mmdet_multigrain.datasets.samplers import ExactClassAwareSampler, ExactInfiniteSampler
from mmdet_multigrain.engine.resampling import resampling_lines

CLASSES = ('shirt', 'vest', 'skirt')
# Nine images with shirts, one of which shows a vest, too, and one with nothing.
IMAGES = [[0]] * 8 + [[0, 1], []]


class Photos(BaseDataset):
    METAINFO = dict(classes=CLASSES)

    def load_data_list(self):
        return [dict(instances=[dict(bbox_label=n) for n in labels]) for labels in IMAGES]

    def get_cat_ids(self, idx):
        return [one['bbox_label'] for one in self.get_data_info(idx)['instances']]


def balanced(oversample_thr, **options):
    inner = dict(type=Photos)
    return dict(
        type='ClassBalancedDataset', oversample_thr=oversample_thr, dataset=inner, **options
    )


def lines(config, sampler=None):
    dataset = SeededDataset(DATASETS.build(config))
    return '\n'.join(resampling_lines(dataset, sampler, CLASSES)).splitlines()


def test_repeat_factors():
    """Vest: on 1 of 10 images, sqrt(0.9 / 0.1) = 3."""
    expected = [
        'ClassBalancedDataset (oversample_thr 0.9): an epoch has 12 samples of 10 images, an image '
        'as many as its rarest class, rounded up',
        'class  images  repeat factor',
        'shirt       9           1.00',
        'vest        1           3.00',
        'skirt       0              -',
    ]
    assert lines(balanced(oversample_thr=0.9)) == expected
    both = dict(type='ConcatDataset', datasets=[balanced(oversample_thr=0.9), dict(type=Photos)])
    assert lines(both) == expected
    assert lines(dict(type='RepeatDataset', times=2, dataset=balanced(0.9))) == expected


def test_a_threshold_without_an_effect_is_told_and_what_to_set():
    assert lines(balanced(oversample_thr=0.1))[-1] == (
        "No class is repeated: the rarest, 'vest', is on 0.1 of the images; raise oversample_thr above "
        'that'
    )
    assert '1.05' in lines(balanced(oversample_thr=0.11))[-2]


def test_class_aware_order():
    dataset = DATASETS.build(dict(type=Photos))
    found = lines(dict(type=Photos), ExactClassAwareSampler(dataset, seed=0))
    assert found == [
        'Class-aware order: each of 2 classes is drawn about 5 times an epoch of 10 samples; 1 images '
        'without a class never are',
        'class  images  draws of each image',
        'shirt       9                 0.56',
        'vest        1                 5.00',
        'skirt       0                    -',
    ]


@pytest.mark.parametrize('sampler', [None, ExactInfiniteSampler(range(3), seed=0)])
def test_nothing_is_said_where_all_images_come_once(sampler):
    assert lines(dict(type=Photos), sampler) == []
    assert resampling_lines(SimpleNamespace(), sampler, CLASSES) == []
