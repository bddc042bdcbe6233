"""Loading COCO files: what is read or recovered, and what is said of files that cannot be."""

from __future__ import annotations

import pytest

from mmdet_multigrain.coco.files import LISTS, load_coco, recover
from mmdet_multigrain.utils.errors import AnnotationError, CheckError


def test_strict_and_other_json(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text('{"images": [{"width": 3}]}')
    file = load_coco(path)
    assert file.content == {'images': [{'width': 3}]}
    assert file.not_strict == '' and not file.recovered
    path.write_text('{"images": [{"width": NaN, "coco_url": "http://x.org/a.jpg"}]}')
    file = load_coco(path)
    assert file.content['images'][0]['file_name'] == 'a.jpg' and file.recovered.total() == 1
    assert 'line 1 column 23' in file.not_strict or 'NaN' in file.not_strict
    assert LISTS == ('images', 'annotations', 'categories')


@pytest.mark.parametrize('error', [AnnotationError, CheckError])
@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (None, 'no such annotation file; check the path'),
        ('folder', 'this is a folder; name a file in it'),
        ('{"a": ', 'not valid JSON ('),
        ('[]', 'not a COCO file: its top level is a list, not an object; name an annotation file'),
        ('3', 'not a COCO file: its top level is a int, not an object'),
    ],
)
def test_files_that_are_none(tmp_path, content, message, error):
    path = tmp_path / 'a.json'
    if content == 'folder':
        path.mkdir()
    elif content is not None:
        path.write_text(content)
    with pytest.raises(error) as caught:
        load_coco(path, error=error)
    assert str(caught.value).startswith(f'{path}: {message}') and '\n' not in str(caught.value)


def test_paths_that_the_system_refuses(tmp_path, monkeypatch):
    with pytest.raises(AnnotationError, match='a null character in its name'):
        load_coco(str(tmp_path / 'a\0.json'))
    name = 'mmdet_multigrain.coco.files.load_json'

    def refuse(path):
        raise PermissionError(13, 'Permission denied')

    monkeypatch.setattr(name, refuse)
    with pytest.raises(AnnotationError, match=r'a.json: cannot be read \(Permission denied\)'):
        load_coco(tmp_path / 'a.json')


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
