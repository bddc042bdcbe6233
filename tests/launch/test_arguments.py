"""Arguments as users type them."""

import argparse

import pytest

from mmdet_multigrain import launch


def parse(*arguments):
    parser = argparse.ArgumentParser()
    launch.add_common_arguments(parser)
    return parser.parse_args(arguments)


def test_arguments():
    args = parse()
    assert (args.work_dir, args.cfg_options, args.launcher, args.local_rank) == (
        None,
        None,
        'none',
        0,
    )
    args = parse(
        '--launcher',
        'slurm',
        '--local-rank',
        '3',
        '--cfg-options',
        'a.lr=1e-3',
        'b=[1,2]',
        'c=my folder/x',
        'd=True',
        'e="1.5"',
    )
    assert (args.launcher, args.local_rank) == ('slurm', 3)
    assert args.cfg_options == {'a.lr': 0.001, 'b': [1, 2], 'c': 'my folder/x', 'd': True, 'e': 1.5}


def test_arguments_that_are_none(capsys):
    for arguments in (['--cfg-options', 'lr'], ['--launcher', 'ray']):
        with pytest.raises(SystemExit) as caught:
            parse(*arguments)
        assert caught.value.code == 2
    assert "'lr' is not KEY=VALUE" in capsys.readouterr().err
