"""What a checkpoint gives to a model, in which words it does not fit, and where its tensors go."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mmdet_multigrain.engine.checkpoint.read import (
    check_mapping,
    keep_what_fits,
    loading,
    misfit,
    other_classes,
    other_groups,
    read_checkpoint,
    state_dict_of,
    trained_on,
)
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import CheckpointError


def test_tensors_go_to_the_cpu(tmp_path, monkeypatch):
    path = str(tmp_path / 'a.pth')
    torch.save(dict(state_dict=dict(weight=torch.ones(2))), path)
    asked = []
    load = torch.load

    def noted(*args, **kwargs):
        asked.append(kwargs['map_location'])
        return load(*args, **kwargs)

    monkeypatch.setattr(torch, 'load', noted)
    assert read_checkpoint(path)['state_dict']['weight'].device.type == 'cpu'
    assert asked == ['cpu']  # 'cpu' is said, not left to what the file holds


def test_only_mappings_are_checkpoints(tmp_path):
    torch.save([1], tmp_path / 'list.pth')
    with pytest.raises(CheckpointError, match=r'list\.pth: holds a list, not a checkpoint'):
        read_checkpoint(str(tmp_path / 'list.pth'))
    check_mapping('a', {})


@pytest.mark.parametrize(
    ('path', 'message'),
    [
        ('a.pth', 'a.pth: not a whole checkpoint (KeyError: 101); copy it again or take another'),
        ('https://a/b', 'https://a/b: cannot be loaded (KeyError: 101); download it where there '),
    ],
)
def test_whatever_goes_wrong_names_the_file(path, message):
    with pytest.raises(CheckpointError) as caught, loading(path):
        raise KeyError(101)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize('error', [CheckpointError('said already'), MemoryError()])
def test_errors_that_say_enough_pass(error):
    with pytest.raises(type(error)) as caught, loading('a.pth'):
        raise error
    assert caught.value is error


def test_the_parts_of_a_checkpoint():
    tensors = dict(weight=torch.ones(1))
    assert state_dict_of(dict(state_dict=tensors)) is tensors
    assert state_dict_of(tensors) is tensors
    assert trained_on(dict(meta=dict(dataset_meta=dict(classes=['a'])))) == dict(classes=['a'])
    for checkpoint in ({}, dict(meta=None), dict(meta={}), dict(meta=dict(dataset_meta=None))):
        assert trained_on(checkpoint) == {}


def given(**tensors):
    meta = dict(dataset_meta=dict(classes=('a', 'b', 'c', 'd')))
    return dict(state_dict=tensors, meta=meta)


def test_what_fits_stays_in_the_checkpoint():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    checkpoint = given(**{
        'module.0.weight': torch.ones(3, 2), '0.bias': torch.ones(4), 'other': torch.ones(1),
    })  # fmt: skip
    fit = keep_what_fits(model, checkpoint)
    assert fit.loaded == ('0.weight',)
    assert fit.new == ('0.bias', '1.weight', '1.bias')
    assert fit.skipped == ('0.bias', 'other')
    assert fit.problem == (
        '0.bias has shape (4,) in the checkpoint but (3,) in the model (trained on 4 classes: '
        'a, b, c, ...)'
    )
    assert [*checkpoint['state_dict']] == ['module.0.weight']


def test_a_tensor_that_is_missing_and_one_too_many():
    model = nn.Linear(2, 3)
    fit = keep_what_fits(model, dict(weight=torch.ones(3, 2)))
    assert fit.problem == 'bias is not in the checkpoint'
    whole = given(weight=torch.ones(3, 2), bias=torch.ones(3), other=torch.ones(1))
    fit = keep_what_fits(model, whole)
    assert (fit.loaded, fit.new, fit.skipped, fit.problem) == (
        ('weight', 'bias'), (), ('other',), None,
    )  # fmt: skip


def test_labels_that_mean_another_class(garments):
    data = dict(classes=garments.classes)
    assert other_classes(data, data) is other_classes({}, data) is None
    swapped = dict(classes=('shirt', 'vest', 'skirt', 'hat', 'shorts'))
    message = "label 1 is 'vest' in the checkpoint but 'skirt' in the data"
    assert other_classes(swapped, data) == message
    alias = Taxonomy('a', ('shirt', 'skirt'), aliases={'skirt': ['Rock']})
    metainfo = dict(classes=alias.classes, taxonomy=alias.to_dict())
    assert other_classes(dict(classes=('shirt', 'Rock')), metainfo) is None
    assert other_classes(dict(classes=('Rock', 'shirt')), metainfo).startswith("label 0 is 'Rock'")
    assert other_classes(dict(classes=('shirt', 'Rock')), dict(classes=alias.classes)) is not None


def test_classes_that_are_grouped_otherwise(garments):
    own = dict(taxonomy=garments.to_dict())
    paths = [('top',), ('top',), ('bottom',), ('hat',), ('bottom',)]
    other = dict(taxonomy=Taxonomy('other', garments.classes, paths).to_dict())
    assert other_groups(own, own) is other_groups({}, own) is other_groups(own, {}) is None
    assert other_groups(own, other).startswith("'skirt' is in group ")


def test_a_misfit_says_what_to_do():
    assert str(misfit('a.pth', 'test', 'it is of another kind')) == (
        'a.pth: cannot test with this config: it is of another kind; use the config that the '
        'checkpoint was trained with'
    )
