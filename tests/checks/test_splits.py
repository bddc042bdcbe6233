"""Photos in both files: by name without photos, by content with them."""

from pathlib import Path

from mmdet_multigrain.checks import splits
from mmdet_multigrain.checks.data import CocoData
from mmdet_multigrain.checks.photos import Photo


def data(split, names, folder=None):
    return CocoData(
        {'images': [{'id': n, 'file_name': name} for n, name in enumerate(names, start=1)]},
        path=Path('x.json'),
        split=split,
        photos=None
        if folder is None
        else {
            name: Photo(str(folder / name), (1, 1) if (folder / name).exists() else None)
            for name in names
        },
    )


def found(train, val):
    return {
        finding.check.code: (finding.count, finding.examples)
        for finding in splits.check(train, val)
    }


def test_by_name():
    assert found(data('train', ['a', 'b', 'c']), data('val', ['d', 'c', 'b'])) == {
        'file-name-in-both-splits': (
            2,
            ("image 2 ('b') and image 3 ('b')", "image 3 ('c') and image 2 ('c')"),
        )
    }
    assert found(data('train', ['a']), data('val', ['A', None])) == {}


def test_by_content(tmp_path):
    """Names do not count: equal ones in two folders, and another name of one photo."""
    for folder, files in (
        ('1', {'a': b'1', 'b': b'2', 'c': b'3'}),
        ('2', {'a': b'9', 'x': b'2', 'c': b'33'}),
    ):
        (tmp_path / folder).mkdir()
        for name, content in files.items():
            (tmp_path / folder / name).write_bytes(content)
    train = data('train', ['a', 'b', 'c', 'none'], tmp_path / '1')
    val = data('val', ['a', 'x', 'c', 'none'], tmp_path / '2')
    assert found(train, val) == {'photo-in-both-splits': (1, ("image 2 ('b') and image 2 ('x')",))}


def test_one_file_under_two_paths(tmp_path):
    (tmp_path / 'a').write_bytes(b'1')
    (tmp_path / 'sub').mkdir()
    assert found(data('train', ['a'], tmp_path), data('val', ['sub/../a'], tmp_path)) == {
        'photo-in-both-splits': (1, ("image 1 ('a') and image 1 ('sub/../a')",))
    }
