"""Fields in another form than COCO's: one reading, or they stay as they are."""

import pytest

from mmdet_multigrain.coco.recover import recover


@pytest.mark.parametrize(
    ('url', 'name'),
    [
        ('http://images.cocodataset.org/val2017/000000000139.jpg', 'val2017/000000000139.jpg'),
        ('https://example.org/a%20b/%C3%A9.png?size=9#top', 'a b/é.png'),
        (' http://example.org/1.jpg', '1.jpg'),
        ('http://example.org/', None),
        ('photos/1.jpg', None),
        ('file:///home/1.jpg', None),
        ('http://[broken', None),
        (139, None),
        (None, None),
    ],
)
def test_file_names_from_addresses(url, name):
    content = {'images': [{'id': 1, 'coco_url': url}]}
    done = recover(content)
    assert content['images'][0].get('file_name') == name
    assert done == ({} if name is None else {"file names taken from 'coco_url'": 1})


def test_a_file_name_counts_more_than_an_address():
    content = {'images': [{'file_name': 'a.jpg', 'coco_url': 'http://example.org/b.jpg'}]}
    assert recover(content) == {} and content['images'][0]['file_name'] == 'a.jpg'


def test_numbers_as_names():
    nan = float('nan')
    categories = [
        {'name': 1, 'supercategory': 10},
        {'name': 2.5, 'supercategory': None},
        {'name': 'a', 'supercategory': nan},
        {'name': True},
        'no object',
    ]
    done = recover({'categories': categories})
    assert done == {
        "category fields 'name' that are numbers, read as text": 2,
        "category fields 'supercategory' that are numbers, read as text": 1,
    }
    assert categories[0] == {'name': '1', 'supercategory': '10'}
    assert categories[1] == {'name': '2.5', 'supercategory': None}
    assert categories[2]['supercategory'] is nan and categories[3] == {'name': True}


@pytest.mark.parametrize('content', [{}, {'images': None, 'categories': {'name': 1}}])
def test_other_content_is_left_alone(content):
    before = dict(content)
    assert recover(content) == {} and content == before
