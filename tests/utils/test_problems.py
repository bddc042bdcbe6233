"""Counting problems: order, examples, sums of several counts."""

from mmdet_multigrain.utils.problems import Problems


def test_counts_and_first_examples():
    problems = Problems()
    for number in range(5):
        problems.add('empty box', f'item{number}')
    problems.add('unknown class', 'hat', count=1200)
    assert str(problems) == (
        '  5 x empty box: item0; item1; item2; ...\n  1,200 x unknown class: hat; ...'
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
