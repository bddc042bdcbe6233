"""Types of the arguments, and help with defaults."""

from __future__ import annotations

import argparse

import pytest

from benchmarks.common.arguments import count, list_of, make_parser, positive, size


def test_values():
    assert (count('0'), positive('7'), size('1333x800')) == (0, 7, (1333, 800))
    assert list_of('abc')('a,c') == ('a', 'c')


@pytest.mark.parametrize(
    ('parse', 'text', 'message'),
    [
        (count, '-1', "'-1' is not a whole number from 0 on"),
        (positive, '0', "'0' is not a whole number from 1 on"),
        (positive, 'x', "'x' is not a whole number from 1 on"),
        (list_of('abc'), 'a,d', "'d' is not one of a, b, c"),
        (size, '0x800', "'0x800' is not a size like 1333x800"),
    ],
)
def test_wrong_values(parse, text, message):
    with pytest.raises(argparse.ArgumentTypeError, match=message):
        parse(text)


def test_help_shows_the_defaults_that_say_something():
    parser = make_parser('What it does:\n\nMore.')
    parser.add_argument('--number', default=3, help='how many')
    parser.add_argument('--flag', action='store_true', help='whether')
    shown = parser.format_help()
    assert 'What it does\n' in shown and 'More' not in shown
    assert 'how many (default: 3)' in shown and 'whether\n' in shown
