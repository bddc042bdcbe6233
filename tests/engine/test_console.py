"""What the console leaves to the log file."""

from __future__ import annotations

import logging

import pytest
from mmengine.logging import MMLogger

from mmdet_multigrain.engine.console import console_from


@pytest.mark.parametrize(
    ('log_level', 'expected'),
    [('INFO', ['warning', 'after']), ('DEBUG', ['info', 'warning', 'after'])],
)
def test_the_file_gets_all(tmp_path, capsys, log_level, expected):
    path = tmp_path / 'run.log'
    logger = MMLogger(f'console-{log_level}', log_file=str(path), log_level=log_level)
    with pytest.raises(KeyError), console_from(logging.WARNING, logger):
        logger.info('info')
        logger.warning('warning')
        raise KeyError
    logger.info('after')
    shown = capsys.readouterr().out.splitlines()
    assert [line.split(' - ')[-1] for line in shown] == expected
    assert [line.split(' - ')[-1] for line in path.read_text().splitlines()] == [
        *('info', 'warning', 'after')
    ]


def test_a_hidden_warning_does_not_come_again(tmp_path, capsys):
    logger = MMLogger('console-again', log_file=str(tmp_path / 'run.log'))
    for _ in range(2):
        with console_from(logging.ERROR, logger):
            logger.warning('deprecated')
    for _ in range(2):
        logger.warning('deprecated')
    assert capsys.readouterr().out == ''
