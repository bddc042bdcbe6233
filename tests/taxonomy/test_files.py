"""Reading a file whole."""

import pytest

from mmdet_multigrain.taxonomy import Taxonomy, TaxonomyError
from mmdet_multigrain.taxonomy.files import read_bytes


def test_content(tmp_path):
    (tmp_path / 'a').write_bytes(b'\x00\xff')
    assert read_bytes(tmp_path / 'a') == b'\x00\xff'


@pytest.mark.parametrize(
    ('name', 'said'),
    [
        ('nothing', 'no such '),
        ('folder', 'this is a folder'),
        ('a\0b', 'cannot be read'),
        ('file/below', 'cannot be read (Not a directory)'),
    ],
)
@pytest.mark.parametrize('suffix', ['.yaml', '.json'])
def test_unreadable_paths(tmp_path, name, said, suffix):
    (tmp_path / f'folder{suffix}').mkdir()
    (tmp_path / 'file').touch()
    path = str(tmp_path / f'{name}{suffix}')
    with pytest.raises(TaxonomyError) as caught:
        Taxonomy.load(path)
    assert str(caught.value).startswith(f'{path}: {said}')
