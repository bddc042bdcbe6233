"""The file as a whole: what cannot be checked raises one line, the rest is found."""

from pathlib import Path

import pytest

from mmdet_multigrain.checks import structure
from mmdet_multigrain.checks.data import CocoData, load
from mmdet_multigrain.utils.errors import AnnotationError


def found(content, **options):
    data = CocoData(content, path=Path('x.json'), **options)
    return {
        finding.check.code: (finding.count, finding.examples)
        for finding in structure.CHECKS.run(data)
    }


def test_a_whole_file():
    assert found({'images': [{}], 'annotations': [{}], 'categories': [{}]}) == {}


def test_lists_that_are_not_there_or_empty():
    assert found({'images': {'1': {}}, 'categories': []}) == {
        'list-missing': (2, ('images: dict instead of a list', 'annotations: not there')),
        'list-empty': (1, ('categories',)),
    }


def test_entries_that_are_no_objects():
    content = {'images': [{}, None, 3], 'annotations': ['box', {}], 'categories': [{}]}
    assert found(content) == {
        'entry-not-object': (3, ('images[1]: None', 'images[2]: 3', "annotations[0]: 'box'"))
    }
    data = CocoData(content, path=Path('x.json'))
    assert (len(data.images), len(data.annotations), len(data.categories)) == (1, 1, 1)


@pytest.mark.parametrize(
    'content, reason',
    [
        (b'', 'not valid JSON'),
        (b'{"images": [', 'not valid JSON'),
        (b'[' * 10_000, 'not valid JSON'),
        (b'{"a":' * 10_000 + b'1' + b'}' * 10_000, 'not valid JSON'),
        (b'\xff\xfe{}', 'not valid JSON'),
        (b'id,x\r\n1,2\r\n', 'line 1 column 1'),
        (b'[]', 'top level is a list, not an object'),
        (b'null', 'not an object'),
        (b'{"images": [' + b'9' * 5000 + b']}', 'not valid JSON'),
    ],
)
def test_what_cannot_be_checked_is_one_line(tmp_path, content, reason):
    path = tmp_path / 'a b.json'
    path.write_bytes(content)
    with pytest.raises(AnnotationError, match=reason) as caught:
        load(path)
    assert str(caught.value).startswith(f'{path}: ') and '\n' not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))


def test_what_is_not_there_is_one_line(tmp_path):
    with pytest.raises(AnnotationError, match='no such annotation file'):
        load(tmp_path / 'none.json')
    with pytest.raises(AnnotationError, match='this is a folder'):
        load(tmp_path)


def test_what_other_readers_refuse_is_found_with_its_place(tmp_path):
    (tmp_path / 'a.json').write_bytes(
        b'{"images": [{"a": NaN}], "annotations": [{}], "categories": [{}]}'
    )
    data = load(tmp_path / 'a.json')
    [finding] = structure.CHECKS.run(data)
    assert (finding.check.code, finding.count) == ('json-not-strict', 1)
    assert 'line 1 column 19' in finding.examples[0]


def test_byte_order_mark_and_windows_line_ends_are_no_findings(tmp_path):
    (tmp_path / 'a.json').write_bytes(
        b'\xef\xbb\xbf{"images": [{}],\r\n"annotations": [{}],\r\n"categories": [{}]}\r\n'
    )
    data = load(tmp_path / 'a.json')
    assert not data.not_strict and list(structure.CHECKS.run(data)) == []


def test_fields_in_another_form():
    """Read and said; a file without annotations is named as what it is."""
    content = {'images': [{}], 'annotations': [{}], 'categories': [{}]}
    data = CocoData(content, path=Path('x.json'), recovered={'names that are numbers': 1200})
    (finding,) = structure.CHECKS.run(data)
    assert finding.check.severity == 'warning'
    assert finding.examples == ('1,200 names that are numbers',)
    del content['annotations']
    assert found(content)['list-missing'][1] == (
        'annotations: not there (a test set, only to predict on)',
    )
