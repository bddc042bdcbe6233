"""Scores and gains as text."""

import math

import pytest

from mmdet_multigrain.report.runs.comparison import Gain
from mmdet_multigrain.report.runs.formats import (
    capital,
    gain_alone,
    gain_in_table,
    percent,
    plain,
    share,
    signed,
)

from .made_runs import gain

NAN = math.nan


@pytest.mark.parametrize(
    ('value', 'text'),
    [(0.0123, '+1.23'), (-0.0123, '−1.23'), (0.0, '+0.00'), (-1e-9, '+0.00'), (NAN, '-')],
)
def test_signed(value, text):
    assert signed(value) == text


def test_percent_and_capital():
    assert (percent(0.5), percent(NAN), capital('all'), capital('')) == (50, None, 'All', '')


def test_plain_and_share():
    assert (plain(0.67), plain(NAN), share(0.494), share(NAN)) == ('67.00', '-', '49%', '-')


@pytest.mark.parametrize(
    ('one', 'cell', 'alone'),
    [
        (Gain(0.01), '+1.00', '+1.00'),
        (gain(0.01, 0.009), '+1.00 [+0.10, +1.90]', '+1.00'),
        (gain(0.01, 0.011), '+1.00° [−0.10, +2.10]', '+1.00°'),
        (gain(0.01, 0.011, seeds=False), '+1.00 [−0.10, +2.10]', '+1.00'),
        (gain(0.01, 0.009, images=2), '+1.00 (too few boxes)', '+1.00'),
        (gain(0.01, 0.0), '+1.00', '+1.00'),  # nothing varies
        (gain(NAN, NAN, images=0), '-', '-'),
        (Gain(NAN), '-', '-'),
        # Never +0.00 [+0.00, +0.00]:
        (gain(0.0, 0.0, seeds=False), 'same', 'same'),
        (gain(0.0, 0.0), 'same', 'same'),
        (gain(0.00002, 0.00002, seeds=False), '<0.01', '+0.00'),
        (gain(-0.00002, 0.00003), '<0.01', '+0.00°'),
        (gain(0.0, 0.001, seeds=False), '+0.00 [−0.10, +0.10]', '+0.00'),
        (gain(0.0, 0.0, images=2), '+0.00 (too few boxes)', '+0.00'),
        (Gain(0.0), '+0.00', '+0.00'),
    ],
)
def test_gain(one, cell, alone):
    assert gain_in_table(one) == cell
    assert gain_alone(one) == alone
