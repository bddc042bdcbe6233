"""IterationSeedHook: draws of the model by seed, iteration and process."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from mmdet_multigrain.engine.hooks import IterationSeedHook


def draw(seed, iteration, rank, differs=False):
    runner = SimpleNamespace(
        seed=seed + (rank if differs else 0), iter=iteration, rank=rank,
        _randomness_cfg=dict(diff_rank_seed=differs),
    )  # fmt: skip
    IterationSeedHook().before_train_iter(runner, iteration)
    return torch.rand(()).item()


def test_each_place_has_its_own_draws_whatever_was_before():
    places = [(seed, iteration, rank) for seed in (0, 1) for iteration in (0, 1) for rank in (0, 1)]
    drawn = [draw(*place) for place in places]
    assert len(set(drawn)) == 8
    assert [draw(*place) for place in reversed(places)] == drawn[::-1]


def test_it_is_the_same_where_mmengine_gives_processes_their_own_seeds():
    assert draw(3, 1, 1, differs=True) == draw(3, 1, 1)
