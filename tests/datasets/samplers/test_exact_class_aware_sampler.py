"""ExactClassAwareSampler: the distribution of MMDetection's, in an order that can begin anywhere."""

from __future__ import annotations

from itertools import islice
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.datasets.samplers import ClassAwareSampler
from mmdet.registry import DATA_SAMPLERS

from mmdet_multigrain.datasets.samplers import (
    ExactAspectRatioBatchSampler,
    ExactClassAwareSampler,
    exact_sampler,
)
from mmdet_multigrain.utils.errors import ConfigError

# Labels of the boxes of each image; 3 is a superclass, the fifth image shows nothing.
IMAGES = [[0], [0, 0, 1], [0], [0, 3], [], [2, 1], [0], [3], [0]]
CLASSES = ('frequent', 'seldom', 'rare')


class Photos:
    """A data set of which only sizes and labels are known; to load an image fails."""

    metainfo = dict(classes=CLASSES)

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def get_data_info(self, index):
        instances = [dict(bbox_label=label) for label in self.images[index]]
        return dict(width=2, height=1 + 2 * (index % 2), instances=instances)

    def get_cat_ids(self, index):
        return [label for label in self.images[index] if label < len(CLASSES)]


def make(images=IMAGES, *, rank=0, world_size=1, seed=7, **options):
    with mock.patch.object(exact_sampler, 'get_dist_info', return_value=(rank, world_size)):
        return ExactClassAwareSampler(Photos(images), seed=seed, **options)


def test_images_of_classes():
    images = {label: indices.tolist() for label, indices in make().images.items()}
    assert images == {0: [0, 1, 2, 3, 6, 8], 1: [1, 5], 2: [5]}


def test_order_by_hand():
    """The order is part of the promise: a run of today is resumed by the code of tomorrow."""
    assert list(islice(make(), 18)) == [5, 6, 1, 3, 5, 5, 5, 1, 1, 5, 8, 1, 5, 5, 2, 1, 1, 5]


@pytest.mark.parametrize('number', [1, 2])
def test_classes_take_turns_and_use_up_their_images(number):
    # Of one class each, so that an image tells for which class it was drawn.
    images = [[0]] * 5 + [[1]] * 2 + [[2]]
    owner = [0] * 5 + [1] * 2 + [2]
    sampler = make(images * 4, num_sample_class=number)
    classes = [owner[index % 8] for index in sampler.order(0)]
    for turn in range(0, 32 - 3 * number, 3 * number):
        round_ = classes[turn : turn + 3 * number]
        assert sorted(round_) == sorted([0, 1, 2] * number)
        assert all(len(set(round_[n : n + number])) == 1 for n in range(0, len(round_), number))
    drawn = np.bincount(sampler.order(0), minlength=32)
    for label in range(3):
        of_class = [drawn[n] for n in range(32) if owner[n % 8] == label]
        assert max(of_class) - min(of_class) <= 1


def shares_of_positions(orders):
    """(position, image): the share of epochs in which that image is at that position."""
    orders = np.array(orders)
    return np.stack([(orders == image).mean(0) for image in range(len(IMAGES))], axis=1)


@pytest.mark.parametrize('number', [1, 2])
def test_the_distribution_is_that_of_mmdetection(number):
    epochs = 3000
    ours = make(num_sample_class=number)
    stock = ClassAwareSampler(Photos(IMAGES), seed=0, num_sample_class=number)
    found, expected = [], []
    for epoch in range(epochs):
        stock.set_epoch(epoch)
        expected.append(list(stock))
        found.append(ours.order(epoch))
    # Of one image at one position, and of how often an image comes in an epoch.
    noise = 5 * (0.5 / epochs) ** 0.5
    both = shares_of_positions(found), shares_of_positions(expected)
    assert np.abs(both[0] - both[1]).max() < noise
    for image in range(len(IMAGES)):
        counts = [(np.array(orders) == image).sum(1) for orders in (found, expected)]
        tables = [np.bincount(each, minlength=10) / epochs for each in counts]
        assert np.abs(tables[0] - tables[1]).max() < noise
    # That is a distribution of its own: the rare class alone has a third.
    assert both[0][:, 5].mean() > 0.4 > 2 / 9 > both[0][:, 0].mean()
    assert not both[0][:, [4, 7]].any()


@settings(max_examples=60, deadline=None)
@given(
    images=st.lists(st.lists(st.integers(0, 3), max_size=3), min_size=1, max_size=9).filter(
        lambda images: any(label < 3 for labels in images for label in labels)
    ),
    world_size=st.integers(1, 3),
    number=st.integers(1, 2),
    skip=st.integers(0, 30),
    data=st.data(),
)
def test_it_begins_anywhere(images, world_size, number, skip, data):
    rank = data.draw(st.integers(0, world_size - 1))
    sampler = make(images, rank=rank, world_size=world_size, num_sample_class=number)
    whole = list(islice(sampler, skip + 10))
    sampler.begin_at(epoch=0, skip=skip)
    rest = list(islice(sampler, 10))
    assert rest == whole[skip:]
    assert [one.entropy for one in rest] == [one.entropy for one in whole[skip:]]

    batches = ExactAspectRatioBatchSampler(sampler, 2)
    whole = list(islice(batches, skip + 5))
    batches.begin_at(epoch=0, batch=skip)
    assert list(islice(batches, 5)) == whole[skip:]


def test_processes_share_one_order():
    whole = list(islice(make(), 30))
    shares = [list(islice(make(rank=rank, world_size=3), 10)) for rank in range(3)]
    assert [sample for turn in zip(*shares, strict=True) for sample in turn] == whole


def test_epochs_and_seeds_have_their_own_orders():
    sampler = make(IMAGES * 10)
    first = sampler.order(0).tolist()
    assert first != sampler.order(1).tolist() and first == make(IMAGES * 10).order(0).tolist()
    assert first != make(IMAGES * 10, seed=8).order(0).tolist()


def test_it_is_registered_and_tells_its_rule():
    assert DATA_SAMPLERS.get('ExactClassAwareSampler') is ExactClassAwareSampler
    assert make().rule != make(num_sample_class=2).rule


def test_what_it_cannot_do_is_told():
    with pytest.raises(ConfigError, match='num_sample_class=0: must be at least 1'):
        make(num_sample_class=0)
    with pytest.raises(ConfigError, match='no image of the training data has a class; set'):
        make([[3], []]).order(0)
