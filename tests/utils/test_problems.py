"""Counting problems: order, examples, sums of several counts."""

from mmdet_multigrain.utils.problems import Problems


def test_counts_and_first_examples():
    problems = Problems()
    for number in range(5):
        problems.add('empty box', f'item{number}')
    for _ in range(1200):
        problems.add('unknown class', 'hat')
    assert str(problems) == (
        '  5 x empty box: item0; item1; item2; ...\n  1,200 x unknown class: hat; hat; hat; ...'
    )
    assert problems.first() == '; first problem: empty box: item0'


def test_nothing():
    assert str(Problems()) == '' and Problems().first() == ''


def test_update_is_like_counting_in_a_row():
    first, second, both = Problems(), Problems(), Problems()
    for place, problems in (('a', first), ('b', first), ('c', second), ('d', second)):
        for target in (problems, both):
            target.add('x', place)
            target.add('only ' + place, place)
    first.update(second)
    assert first == both and str(first) == str(both)


def test_examples_are_printable():
    problems = Problems()
    problems.add('file', 'zwei Kleider, groß\n\udcff.jpg')
    assert problems.examples['file'] == ['zwei Kleider, groß\\n\\udcff.jpg']


def test_the_number_of_examples_is_kept():
    first, second = Problems(max_examples=2), Problems()
    for number in range(3):
        first.add('x', f'a{number}')
        second.add('x', f'b{number}')
        second.add('y', f'c{number}')
    first.update(second)
    assert first.counts == {'x': 6, 'y': 3}
    assert first.examples == {'x': ['a0', 'a1'], 'y': ['c0', 'c1']}
    assert str(first) == '  6 x x: a0; a1; ...\n  3 x y: c0; c1; ...'
    assert Problems().max_examples == 3
    exact = Problems()
    for number in range(3):
        exact.add('x', str(number))
    assert str(exact) == '  3 x x: 0; 1; 2'
