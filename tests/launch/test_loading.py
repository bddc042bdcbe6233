"""Configs of runs and detectors from the arguments of a command line."""

from __future__ import annotations

import argparse
import os

import pytest

from mmdet_multigrain.configs import config_folder
from mmdet_multigrain.launch import loading
from mmdet_multigrain.utils.errors import MultigrainError

CONFIG = str(config_folder() / 'multigrain' / 'wgroup_r18_fpn_synthetic.py')


def test_a_config_of_a_run_has_its_options_folder_and_rank(tmp_path, monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '0')  # so that it is restored
    monkeypatch.delenv('LOCAL_RANK')
    args = argparse.Namespace(
        config=CONFIG,
        cfg_options={'max_iters': 7},
        launcher='none',
        local_rank=1,
        work_dir=str(tmp_path / 'work'),
    )
    cfg = loading.load_run_config(args)
    assert (cfg.max_iters, cfg.launcher, cfg.work_dir) == (7, 'none', args.work_dir)
    assert os.environ['LOCAL_RANK'] == '1'


def test_a_missing_checkpoint_is_one_line_that_names_it(tmp_path):
    parser = argparse.ArgumentParser()
    loading.add_detector(parser)
    missing = tmp_path / 'none.pth'
    args = parser.parse_args([CONFIG, str(missing)])
    with pytest.raises(MultigrainError, match=r'none\.pth') as caught:
        loading.load_detector(args)
    assert '\n' not in str(caught.value)
