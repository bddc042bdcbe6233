"""The resolver: what it writes into a config, and what it leaves alone."""

from __future__ import annotations

from mmengine.config import Config

from mmdet_multigrain.engine.runner.resolver import resolve


def test_resolving_twice_changes_nothing(repository):
    path = repository / 'configs' / 'multigrain' / 'wgroup_r18_fpn_synthetic.py'
    cfg = Config.fromfile(path)
    cfg.merge_from_dict(dict(speed=['tf32', 'fast-loading']))
    resolve(cfg)
    assert cfg.custom_hooks[-1].type == 'MatmulPrecisionHook'
    assert cfg.train_dataloader.dataset.pipeline[0].type == 'FastLoading'
    once = cfg.to_dict()
    resolve(cfg)
    assert cfg.to_dict() == once
