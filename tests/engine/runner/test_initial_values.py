"""Initial values by seed and name: all variants share those of the layers that they share."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import nn

from mmdet_multigrain.engine import MultigrainRunner
from mmdet_multigrain.engine.runner.resolver import resolve

_COUNT = itertools.count()
VARIANTS = ('faster-rcnn', 'baseline', 'merged', 'wogroup', 'wgroup')


def initial_values(model, seed, tmp_path, *, initialize=True):
    runner = MultigrainRunner(
        model=copy.deepcopy(model),
        work_dir=str(tmp_path),
        randomness=dict(seed=seed),
        experiment_name=f'{tmp_path.name}_{next(_COUNT)}',
        default_scope='mmdet',
    )
    if initialize:
        runner._init_model_weights()
    return {name: value.clone() for name, value in runner.model.state_dict().items()}


@pytest.fixture
def global_generator():
    """Give the generator back, which a runner seeds."""
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


@pytest.fixture
def variants(repository, garments, tmp_path, global_generator):
    """The initial values of all small variants of one data set, by name."""
    found = {}
    for name in VARIANTS:
        cfg = Config.fromfile(repository / f'configs/multigrain/{name}_r18_fpn_custom.py')
        cfg.taxonomy = garments.to_dict()
        resolve(cfg, checkpoint_meta={})
        found[name] = initial_values(cfg.model, 7, tmp_path)
    return found


def test_variants_share_the_values_of_their_common_layers(variants):
    shared = dict.fromkeys(VARIANTS, 0)
    for number, one in enumerate(VARIANTS):
        for other in VARIANTS[number + 1 :]:
            ours, theirs = variants[one], variants[other]
            common = [
                name for name in ours if name in theirs and ours[name].shape == theirs[name].shape
            ]
            for name in common:
                assert torch.equal(ours[name], theirs[name]), (one, other, name)
            drawn = [name for name in common if ours[name].unique().numel() > 1]
            shared[one] += len(drawn)
            shared[other] += len(drawn)
            assert {'backbone.conv1.weight', 'rpn_head.rpn_conv.weight'} <= {*drawn}
    assert min(shared.values()) > 100
    ours, theirs = variants['wgroup'], variants['wogroup']
    assert {name: value.shape for name, value in ours.items()} == {
        name: value.shape for name, value in theirs.items()
    }


def test_each_tensor_has_its_own_values(variants):
    values = variants['wgroup']
    assert not torch.equal(
        values['backbone.layer1.0.conv1.weight'], values['backbone.layer1.0.conv2.weight']
    )


@MODELS.register_module(force=True)
class Composed(BaseModule):
    """Layers with torch's values, with an initializer's, and with those of a file."""

    def __init__(self, first: int, loaded: str, init_cfg=None) -> None:
        super().__init__(init_cfg)
        self.first = nn.Linear(first, first)  # draws first; its size differs
        self.plain = nn.Linear(3, 3)
        self.tilted = nn.Linear(3, 3)
        self.tilted.weight.data.normal_().mul_(2).add_(1)
        self.known = nn.Linear(3, 3)
        self.known.load_state_dict(torch.load(loaded))
        self.table = nn.Embedding(4, 3, padding_idx=0)
        self.drawn = nn.Conv2d(3, 3, 1)
        self.pretrained = BaseModule(dict(type='Pretrained', checkpoint=loaded))
        self.pretrained.weight = nn.Parameter(torch.zeros(3, 3))
        self.pretrained.bias = nn.Parameter(torch.zeros(3))

    def forward(self, *args, **kwargs):
        """Not called."""


@pytest.fixture
def loaded(tmp_path):
    """A file of weights."""
    path = tmp_path / 'known.pth'
    torch.save({'weight': torch.arange(9.0).reshape(3, 3), 'bias': torch.arange(3.0)}, path)
    return str(path)


@pytest.fixture
def composed(loaded, tmp_path, global_generator):
    def build(first, seed=7, **options):
        init_cfg = dict(type='Normal', layer='Conv2d', std=0.1)
        model = dict(type='mmengine.Composed', first=first, loaded=loaded, init_cfg=init_cfg)
        return initial_values(model, seed, tmp_path, **options)

    return build


@pytest.mark.parametrize('initialize', [True, False])
def test_values_do_not_depend_on_other_layers(composed, initialize):
    ours, theirs = (composed(first, initialize=initialize) for first in (2, 5))
    for name in ours:
        assert name.startswith('first.') or torch.equal(ours[name], theirs[name]), name


def test_values_depend_on_the_seed(composed):
    ours, theirs = composed(2), composed(2, seed=8)
    for name in ('plain.weight', 'plain.bias', 'tilted.weight', 'table.weight', 'drawn.weight'):
        assert not torch.equal(ours[name], theirs[name]), name


def test_each_layer_keeps_its_distribution_and_what_it_loads(composed):
    values = composed(2)
    assert values['plain.weight'].abs().max() <= 3**-0.5
    assert values['tilted.weight'].mean() > 0.2
    assert values['table.weight'][0].tolist() == [0, 0, 0]
    assert values['drawn.weight'].abs().max() < 0.5
    for name in ('known', 'pretrained'):  # the second by init_cfg
        assert values[f'{name}.weight'].flatten().tolist() == list(range(9))


def test_what_is_drawn_later_does_not_depend_on_the_model(composed):
    later = []
    for first in (2, 5):
        composed(first)
        later.append(torch.rand(4))
    assert torch.equal(*later)


def test_processes_with_their_own_seeds_share_the_values(monkeypatch, composed):
    expected = composed(2)
    runner_init = MultigrainRunner.set_randomness

    def of_second_process(self, seed, **kwargs):
        runner_init(self, seed=seed + 1, **kwargs)
        self._rank, self._randomness_cfg['diff_rank_seed'] = 1, True

    monkeypatch.setattr(MultigrainRunner, 'set_randomness', of_second_process)
    monkeypatch.setattr(MultigrainRunner, 'rank', 1)
    found = composed(2)
    assert all(torch.equal(found[name], value) for name, value in expected.items())
