"""Models and data sets below wrappers, and the samples of batches."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from mmdet.models import DetTTAModel
from torch import nn

from mmdet_multigrain.datasets import taxonomy_metainfo
from mmdet_multigrain.engine.data_access import (
    bare_model,
    inner_datasets,
    samples_of,
    taxonomy_of_data,
)


def test_data_sets_below_wrappers():
    a, b, c = (SimpleNamespace(name=name) for name in 'abc')
    repeated = SimpleNamespace(dataset=SimpleNamespace(datasets=[a, SimpleNamespace(dataset=b)]))
    assert list(inner_datasets(SimpleNamespace(datasets=[repeated, c]))) == [a, b, c]
    assert list(inner_datasets(a)) == [a]


@pytest.mark.parametrize(
    ('batch', 'expected'),
    [
        (dict(data_samples=[1, 2]), [1, 2]),
        (dict(data_samples=dict(sup=[1], unsup=[2, 3], other=None)), [1, 2, 3]),
        (dict(data_samples=None), []),
        (dict(inputs=[4]), []),
        (None, []),
        ([1], []),
    ],
)
def test_samples_of_a_batch(batch, expected):
    assert list(samples_of(batch)) == expected


def test_the_model_inside_test_time_augmentation():
    model = nn.Linear(1, 1)
    model.test_step = model.forward
    assert bare_model(DetTTAModel(module=model)) is bare_model(model) is model


def test_the_taxonomy_of_data(garments):
    assert taxonomy_of_data(taxonomy_metainfo(garments)) == garments
    flat = taxonomy_of_data(dict(classes=('a', 'b')))
    assert flat.classes == ('a', 'b') and flat.num_levels == 1
