"""Scores and gains as text."""

import math

import pytest

from mmdet_multigrain.evaluation.functional.bootstrap import Interval
from mmdet_multigrain.report.runs.comparison import Gain
from mmdet_multigrain.report.runs.formats import (
    capital,
    gain_in_table,
    gain_in_text,
    percent,
    plain,
    share,
    signed,
)

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
    ('gain', 'cell', 'words'),
    [
        (Gain(0.01, None), '+1.00', '+1.00'),
        (
            Gain(0.01, Interval(0.01, 0.001, 0.02, 9)),
            '+1.00 [+0.10, +2.00]',
            '+1.00 (95% interval +0.10 to +2.00)',
        ),
        (
            Gain(0.01, Interval(0.01, -0.001, 0.02, 9)),
            '+1.00° [−0.10, +2.00]',
            '+1.00° (95% interval −0.10 to +2.00, contains 0)',
        ),
        (Gain(NAN, None), '-', 'not known'),
        (Gain(0.01, Interval(0.01, NAN, NAN, 0)), '+1.00', '+1.00'),
    ],
)
def test_gain(gain, cell, words):
    assert gain_in_table(gain) == cell
    assert gain_in_text(gain) == words
