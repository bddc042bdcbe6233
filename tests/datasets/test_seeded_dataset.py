"""Order and augmentation of training: the same for any workers, restarts and wrappers."""

from __future__ import annotations

import random
from itertools import islice

import numpy as np
import pytest
import torch
from mmdet.registry import TRANSFORMS
from mmengine.dataset import BaseDataset

from mmdet_multigrain.datasets import SeededDataset
from mmdet_multigrain.engine.data_access import inner_datasets
from mmdet_multigrain.engine.runner.positions import begin_at
from mmdet_multigrain.engine.runner.runner import MultigrainRunner

BATCH = 3


class Numbers(BaseDataset):
    """Ten pictures without content; a sample is its number and three draws."""

    METAINFO = dict(classes=('even', 'odd'))

    def load_data_list(self):
        return [dict(number=n, width=2, height=1 + n % 3) for n in range(10)]

    def get_cat_ids(self, idx):
        return [0] if idx else [1]  # one picture of a rare class


class Draw:
    """Draw from the three generators that transforms use; now and then refuse the sample."""

    def __call__(self, sample):
        drawn = random.random(), np.random.rand(), torch.rand(()).item()
        return None if drawn[1] < 0.2 else dict(number=sample['number'], drawn=drawn)


@TRANSFORMS.register_module()
class MixWithAnother:
    """As mosaic and mix-up: ask for another sample by random."""

    def get_indexes(self, dataset):
        return random.randrange(len(dataset))

    def __call__(self, sample):
        return dict(number=sample['number'], drawn=(sample['drawn'], sample['mix_results'][0]))


def plain():
    return dict(type=Numbers, pipeline=[Draw()])


DATA_SETS = {
    'plain': plain,
    'repeated': lambda: dict(type='RepeatDataset', times=2, dataset=plain()),
    'joined': lambda: dict(type='ConcatDataset', datasets=[plain(), plain()]),
    'balanced': lambda: dict(type='ClassBalancedDataset', oversample_thr=0.9, dataset=plain()),
    'mixed': lambda: dict(
        type='MultiImageMixDataset', dataset=plain(), pipeline=[dict(type='MixWithAnother')]
    ),
}


def loader(dataset, *, workers=0, sampler='ExactInfiniteSampler', grouped=True):
    groups = dict(batch_sampler=dict(type='ExactAspectRatioBatchSampler')) if grouped else {}
    return MultigrainRunner.build_dataloader(
        dict(
            dataset=DATA_SETS[dataset](),
            sampler=dict(type=sampler),
            batch_size=BATCH,
            num_workers=workers,
            collate_fn=dict(type=list),
            **groups,
        ),
        seed=5,
    )


def samples(loader, batches, *, skip=0, epoch=0):
    """Numbers and draws of some batches."""
    begin_at(loader, seed=5, epoch=epoch, batch=skip)
    return list(islice(loader, batches))


@pytest.fixture(autouse=True)
def scope():
    from mmengine.registry import DefaultScope

    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


@pytest.mark.parametrize('grouped', [True, False])
@pytest.mark.parametrize('dataset', DATA_SETS)
def test_samples_depend_on_their_position_alone(dataset, grouped):
    expected = samples(loader(dataset, grouped=grouped), 12)
    drawn = [sample['drawn'] for batch in expected for sample in batch]
    assert len(set(map(str, drawn))) == 12 * BATCH  # an image that comes again gets new draws
    random.seed(99), np.random.seed(99), torch.manual_seed(99)
    for workers in (0, 1, 3) if (dataset, grouped) == ('plain', True) else ():
        assert samples(loader(dataset, workers=workers, grouped=grouped), 12) == expected
    # As after a kill: a new process that begins elsewhere.
    rest = samples(loader(dataset, workers=1, grouped=grouped), 5, skip=7)
    assert rest == expected[7:]


def test_nothing_is_missing_or_double():
    numbers = [
        sample['number'] for batch in samples(unchanged(loader('plain', grouped=False)), 10)
        for sample in batch
    ]  # fmt: skip
    for first in range(0, 30, 10):
        assert sorted(numbers[first : first + 10]) == list(range(10))


def unchanged(loader):
    """The loader, its data set without the transform that refuses samples."""
    loader.dataset.pipeline = lambda sample: sample
    return loader


def test_by_epoch():
    whole = samples(loader('plain', sampler='ExactSampler'), 9, epoch=1)
    assert len(whole) == 4
    assert (
        samples(loader('plain', sampler='ExactSampler', workers=1), 9, skip=3, epoch=1)
        == (whole[3:])
    )
    assert samples(loader('plain', sampler='ExactSampler'), 9, epoch=0) != whole


def test_loading_draws_nothing_from_the_main_process():
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = random.random(), np.random.rand(), torch.rand(()).item()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    batches = loader('plain').batch_sampler
    dataset = batches.sampler.dataset
    [dataset[index] for index in next(iter(batches))]
    assert (random.random(), np.random.rand(), torch.rand(()).item()) == expected


def test_it_looks_like_the_data_set_inside():
    dataset = loader('balanced').dataset
    assert isinstance(dataset, SeededDataset)
    assert dataset.metainfo['classes'] == ('even', 'odd')
    assert len(dataset) == len(dataset.repeat_indices) > 10
    assert [type(part) for part in inner_datasets(dataset)] == [Numbers]
    assert dataset[0]['number'] == 0  # by an index without position: as ever
    dataset.times = 3  # MMDetection's hooks set attributes, too
    assert dataset.dataset.times == 3
    with pytest.raises(AttributeError, match='no_such'):
        getattr(dataset, 'no_such')  # noqa: B009


def test_other_samplers_get_the_bare_data_set():
    built = MultigrainRunner.build_dataloader(
        dict(
            dataset=plain(), batch_size=2, num_workers=1,
            sampler=dict(type='InfiniteSampler', shuffle=True),
        ),
        seed=5,
    )  # fmt: skip
    assert type(built.dataset) is Numbers
    assert len(next(iter(built))['number']) == 2
    with pytest.raises(ValueError, match='InfiniteSampler cannot begin at an iteration; set train'):
        begin_at(built, seed=5, epoch=0, batch=1)
    assert MultigrainRunner.build_dataloader(built) is built
