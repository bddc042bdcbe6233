"""Loading COCO files: what is read, and what is said of files that cannot be."""

from __future__ import annotations

import pytest

from mmdet_multigrain.coco.files import LISTS, load_coco, one_line
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


def test_one_line():
    assert one_line(' a\n  b ') == 'a b' and len(one_line('x' * 999)) == 200
