"""Fixtures of the hooks' tests: a runner of a tiny detector, and its checkpoint."""

import pytest
import torch
from mmengine.evaluator import Evaluator
from torch.utils.data import DataLoader

from mmdet_multigrain.engine.hooks import CheckpointReportHook
from mmdet_multigrain.engine.runner.runner import MultigrainRunner

from .tiny_runs import TAXONOMY, Count, Data, Tiny


@pytest.fixture
def build(tmp_path):
    """Build a runner that trains 2 iterations, validates and saves; with the log of the hook."""
    count = 0

    def build_runner(num_classes=3, taxonomy=TAXONOMY, **kwargs):
        nonlocal count
        count += 1
        torch.manual_seed(count)
        loader = DataLoader(Data(taxonomy), batch_size=3)
        runner = MultigrainRunner(
            model=Tiny(num_classes),
            # A new run refuses the folder of an earlier one.
            work_dir=str(
                tmp_path / ('work' if count == 1 or kwargs.get('resume') else f'work{count}')
            ),
            train_dataloader=loader,
            train_cfg=dict(by_epoch=False, max_iters=2),
            val_dataloader=loader,
            val_cfg=dict(),
            val_evaluator=Evaluator(Count()),
            test_dataloader=loader,
            test_cfg=dict(),
            test_evaluator=Evaluator(Count()),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
            default_hooks=dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2)),
            custom_hooks=[CheckpointReportHook()],
            default_scope='mmdet',
            experiment_name=f'{tmp_path.name}_{count}',
            **kwargs,
        )
        messages = runner.messages = []
        info = runner.logger.info
        runner.logger.info = lambda message: (messages.append(message), info(message))
        return runner

    return build_runner


@pytest.fixture
def trained(build, tmp_path):
    """Path of a checkpoint with optimizer, of 3 classes."""
    build().train()
    return str(tmp_path / 'work' / 'iter_2.pth')
