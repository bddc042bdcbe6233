"""Arguments as users type them."""

import argparse
import os
from pathlib import Path

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


def test_quotes_are_taken_off_in_pairs():
    options = ("a='x y'", 'b="x, y"', "c='", 'd=\'x"', 'e=""', "f='None'")
    given = parse('--cfg-options', *options).cfg_options
    assert given['a'] == 'x y' and given['c'] == "'" and given['d'] == '\'x"' and given['e'] == ''
    assert given['f'] is None


def test_blanks_stay_in_paths_and_names():
    options = ('a=my photos (1)/x', "b=['long dress', top]", 'c=( (1, 2), [a b , c] )', 'd=x y, z')
    assert parse('--cfg-options', *options).cfg_options == {
        'a': 'my photos (1)/x',
        'b': ['long dress', 'top'],
        'c': ((1, 2), ['a b', 'c']),
        'd': ['x y', 'z'],
    }


def test_other_arguments_of_all_tools():
    args = parse()
    assert args.trust_checkpoint is False and parse('--trust-checkpoint').trust_checkpoint is True
    assert parse('--local_rank', '2').local_rank == 2
    assert parse('--work-dir', 'w').work_dir == 'w'


def test_speed_names_its_options(capsys):
    parser = argparse.ArgumentParser()
    launch.add_speed(parser)
    assert parser.parse_args([]).speed == ()
    assert parser.parse_args(['--speed', 'tf32', 'compile']).speed == ['tf32', 'compile']
    with pytest.raises(SystemExit):
        parser.parse_args(['--help'])
    assert 'channels-last' in capsys.readouterr().out


def test_runs():
    parser = argparse.ArgumentParser()
    launch.add_runs(parser, nargs='+')
    args = parser.parse_args(['a', 'b=c', '--out', 'o'])
    assert vars(args) == dict(
        runs=['a', 'b=c'], ann_file=None, taxonomy=None, out=Path('o'), force=False
    )
    args = parser.parse_args(['a', '--ann-file', 'g', '--taxonomy', 't', '--out', 'o', '--force'])
    assert (args.ann_file, args.taxonomy, args.force) == (Path('g'), 't', True)
    for arguments in (['a'], ['--out', 'o']):
        with pytest.raises(SystemExit):
            parser.parse_args(arguments)


@pytest.mark.parametrize('text', ['0', '1', '0.25', '1e-3'])
def test_scores(text):
    assert launch.score(text) == float(text)


@pytest.mark.parametrize('text', ['-0.1', '1.1', 'nan', 'inf', 'x', ''])
def test_scores_that_are_none(text):
    with pytest.raises(argparse.ArgumentTypeError, match=f'{text!r} is not a score from 0 to 1'):
        launch.score(text)


def test_the_rank_of_torchrun_stays(monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '5')
    launch.set_local_rank(2)
    assert os.environ['LOCAL_RANK'] == '5'
    monkeypatch.delenv('LOCAL_RANK')
    launch.set_local_rank(2)
    assert os.environ['LOCAL_RANK'] == '2'
