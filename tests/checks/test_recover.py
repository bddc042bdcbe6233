"""Numbers, boxes and references in other forms than COCO's."""

import pytest

from mmdet_multigrain.checks.recover import _as_text, as_number, is_unclear, read_box


@pytest.mark.parametrize(
    'value, number',
    [
        ('7', 7),
        (' 007 ', 7),
        ('-7.5', -7.5),
        ('7.0', 7),
        ('.5e1', 5),
        ('1234567890123456789', '1234567890123456789'),
        ('12345678901234567', 12345678901234567),
        *(
            (text, text)
            for text in ('', ' ', '7 px', '1,5', '1_0', '0x7', 'nan', 'inf', '٣', '1.2.3')
        ),
        (7, 7),
        (None, None),
    ],
)
def test_numbers(value, number):
    found = as_number(value)
    if value == '1234567890123456789':  # too long for an id
        assert found == int(float(value))
    else:
        assert found == number and type(found) is type(number)


@pytest.mark.parametrize(
    'bbox, box',
    [
        ([1, 2, 3, 4], [1, 2, 3, 4]),
        (['1', '2.5', 3, '4'], [1, 2.5, 3, 4]),
        ('1 2 3 4', [1, 2, 3, 4]),
        ('[1, 2, 3, 4]', [1, 2, 3, 4]),
        ('(1;2;3;4)', [1, 2, 3, 4]),
        ([[1, 2, 3, 4]], [1, 2, 3, 4]),
        ({'x': 1, 'y': 2, 'w': 3, 'h': 4}, [1, 2, 3, 4]),
        ({'left': 1, 'top': 2, 'width': 3, 'height': 4}, [1, 2, 3, 4]),
        ({'x1': 1, 'y1': 2, 'x2': 4, 'y2': '6'}, [1, 2, 3, 4]),
        *((bbox, None) for bbox in (None, [], [1, 2, 3], 'box', [1, 2, 3, None], [1, 2, 3, True])),
        *((bbox, None) for bbox in ([1, 2, 3, 4, 5], {'x': 1}, 7, [1, 2, float('nan'), 4])),
    ],
)
def test_boxes(bbox, box):
    assert read_box(bbox) == box


@pytest.mark.parametrize(
    'bbox, unclear',
    [
        ([1, 2, 3, 4, 5], True),
        ('1 2 3 4 5', True),
        ({'a': 1, 'b': 2, 'c': 3, 'd': 4}, True),
        ([1, 2, 3, 4, None], True),
        ([1, 2, 3, 4], False),
        ([1, 2, 3], False),
        (None, False),
        ('a b c d', False),
    ],
)
def test_unclear_boxes(bbox, unclear):
    assert is_unclear(bbox) == unclear


def test_ids_that_read_alike():
    assert len({_as_text(key) for key in (7, 7.0, '7', '007', ' 7')}) == 1
    assert len({_as_text(key) for key in (7, 8, 'a', '7a', 10**5000, 'x7', '7.5')}) == 7
