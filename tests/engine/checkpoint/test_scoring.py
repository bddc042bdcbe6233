"""What the scores of a detector come from: the digest of weights, and the fusion."""

from __future__ import annotations

import pytest
import torch

from mmdet_multigrain.engine.checkpoint.scoring import scoring_of

WEIGHTS = {'a': torch.arange(4.0), 'b': torch.tensor(3), 'c': torch.ones(2, dtype=torch.bfloat16)}


def digest(weights) -> str:
    return scoring_of('x.pth', weights, {})['digest']


def test_the_digest_is_of_the_weights_alone():
    same = digest(WEIGHTS)
    assert len(same) == 64
    assert digest({'state_dict': WEIGHTS, 'optimizer': {'lr': 1}, 'meta': {}}) == same
    assert digest({f'module.{key}': value for key, value in reversed(WEIGHTS.items())}) == same
    assert digest(WEIGHTS | {'a': torch.arange(8.0)[::2] / 2}) == same  # not contiguous


@pytest.mark.parametrize(
    'change',
    [
        {'a': torch.tensor([0.0, 1, 2, 3.0001])},
        {'a': torch.arange(4.0).reshape(2, 2)},
        {'a': torch.arange(4.0).view(torch.int32)},
        {'b': torch.tensor(4)},
        {'d': torch.zeros(0)},
    ],
    ids=['value', 'shape', 'dtype', 'scalar', 'more'],
)
def test_other_weights_have_another_digest(change):
    assert digest(WEIGHTS | change) != digest(WEIGHTS)


@pytest.mark.parametrize(
    ('fusion', 'kept'),
    [
        (None, None),
        ({'type': 'ConditionalFusion'}, {'type': 'ConditionalFusion', 'gamma': 1.0}),
        ({'type': 'ProductFusion', 'gamma': 0.5}, {'type': 'ProductFusion', 'gamma': 0.5}),
        ({'type': 'ProductFusion', 'gamma': 0}, None),
        ({'type': 'ProductFusion', 'gamma': [0, 0]}, None),
        ({'type': 'NorCal', 'gamma': 0}, None),
        # What it would come after still acts.
        (
            {'type': 'NorCal', 'gamma': 0, 'fusion': {'type': 'ConditionalFusion'}},
            {'type': 'ConditionalFusion', 'gamma': 1.0},
        ),
    ],
)
def test_fusion(fusion, kept):
    model = {'detector': {'roi_head': {'bbox_head': [{'fusion': fusion}, {'fusion': fusion}]}}}
    assert scoring_of('x.pth', {}, model)['fusion'] == kept
    assert scoring_of('x.pth', {}, {'roi_head': {}}) == {
        'name': 'x.pth',
        'digest': digest({}),
        'fusion': None,
    }
