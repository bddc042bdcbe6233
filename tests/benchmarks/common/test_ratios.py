"""Rounds in random order, and the interval of the ratios within them."""

from __future__ import annotations

from math import comb

import pytest

from benchmarks.common.ratios import in_rounds, milliseconds, paired_ratio, rounds


def test_all_take_their_turn_in_each_round():
    turns = [*rounds('abc', repeats=40, warmup=2, title='')]
    assert [number for number, _ in turns] == [n for n in range(-2, 40) for _ in 'abc']
    orders = [''.join(name for number, name in turns if number == n) for n in range(-2, 40)]
    assert {''.join(sorted(order)) for order in orders} == {'abc'}
    assert len(set(orders)) > 1  # drawn again in each round


def test_what_turns_return_is_kept_by_name_without_the_warmup():
    found = in_rounds(lambda name, number: (name, number), 'ab', repeats=2, warmup=1, title='')
    assert found == {'a': [('a', 0), ('a', 1)], 'b': [('b', 0), ('b', 1)]}


def test_milliseconds():
    text = milliseconds([0.2, 0.3, 0.8], [0.1, 0.2, 0.2], 'stock')
    assert text == '    300.0 ms; to stock: median 2.000, from 1.500 to 4.000'


def test_paired_ratio():
    ratio = paired_ratio([2, 3, 8], [1, 2, 2])
    assert (ratio.median, ratio.low, ratio.high) == (2, 1.5, 4)  # of 2, 1.5 and 4
    # Ten rounds: one ratio may lie outside at each end, 2 (1 + 10) / 1024 being below 5%.
    ratio = paired_ratio(range(1, 11), [1] * 10)
    assert (ratio.median, ratio.low, ratio.high) == (5.5, 2, 9)


def test_ratios_are_of_the_same_round():
    slower = [1.1, 2.2, 11, 5.5]  # the machine is busy at times, for both alike
    ratio = paired_ratio(slower, [1, 2, 10, 5])
    assert ratio.low == pytest.approx(1.1) and ratio.high == pytest.approx(1.1)


def ranks(count):
    """Which of the sorted ratios are the ends of the interval, counted from either end."""
    ratio = paired_ratio(range(1, count + 1), [1] * count)
    return ratio.low, count + 1 - ratio.high


@pytest.mark.parametrize(('count', 'rank'), [(1, 1), (5, 1), (6, 1), (9, 2), (20, 6), (40, 14)])
def test_interval_rank(count, rank):
    assert ranks(count) == (rank, rank)


def test_interval_covers_as_it_says():
    for count in range(6, 60):
        rank, _ = ranks(count)

        def outside(rank, count=count):
            return 2 * sum(comb(count, number) for number in range(int(rank))) / 2**count

        assert outside(rank) <= 0.05 < outside(rank + 1)
