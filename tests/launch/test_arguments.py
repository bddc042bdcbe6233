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


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('2', None),
        ('5', None),
        ('1', "'1' is not a whole number from 2 to 5"),
        ('6', "'6' is not a whole number from 2 to 5"),
        ('x', "'x' is not a whole number from 2 to 5"),
        ('2.5', "'2.5' is not a whole number from 2 to 5"),
        ('-3', "'-3' is not a whole number from 2 to 5"),
    ],
)
def test_whole_numbers(text, message):
    parse = launch.whole_number(2, 5)
    if message is None:
        assert parse(text) == int(text)
        return
    with pytest.raises(argparse.ArgumentTypeError, match=message):
        parse(text)


def test_whole_numbers_without_an_end():
    assert launch.whole_number(0)('9999999') == 9999999
    with pytest.raises(argparse.ArgumentTypeError, match="'0' is not a whole number from 1 on"):
        launch.whole_number(1)('0')
