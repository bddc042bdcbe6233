"""Names of photos that a folder spells otherwise."""

import pytest

from mmdet_multigrain.checks.names import difference, find_files


def find(folder, names, *files, taken=()):
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return find_files(names, folder, taken=taken)


@pytest.mark.parametrize(
    'name, file, words',
    [
        ('a.JPG', 'a.jpg', 'case'),
        ('A/b.jpg', 'a/B.jpg', 'case'),
        ('caf\u00e9.jpg', 'cafe\u0301.jpg', 'Unicode form'),
        ('cafe\u0301.jpg', 'caf\u00e9.jpg', 'Unicode form'),
        ('a%20b.jpg', 'a b.jpg', '%-escapes'),
        ('a b.jpg', 'a%20b.jpg', '%-escapes'),
        ('caf%C3%A9.jpg', 'cafe\u0301.jpg', '%-escapes, Unicode form'),
        ('a\\b.jpg', 'a/b.jpg', "'\\' for '/'"),
        (' a.jpg', 'a.jpg', 'spaces at its ends'),
        ('https://x.org/data/a.jpg', 'a.jpg', 'folder'),
        ('https://x.org/data/a%20b.jpg?size=1', 'data/a b.jpg', '%-escapes, folder'),
        ('..\\..\\media\\4\\a.jpg', 'a.jpg', "'\\' for '/', folder"),
        ('/home/x/a.jpg', 'a.jpg', 'folder'),
        ('C:\\x\\a.jpg', 'x/a.jpg', "'\\' for '/', folder"),
    ],
)
def test_one_file_is_the_photo(tmp_path, name, file, words):
    assert find(tmp_path, [name], file, 'other.jpg') == {name: (file,)}
    assert difference(name, file) == words


@pytest.mark.parametrize(
    'names, files, taken',
    [
        (['a.jpg'], ['b.jpg', 'a.png', 'sub/a.jpg'], ()),
        (['x/a.jpg'], ['y/a.jpg'], ()),  # another folder's is another photo
        (['A.jpg'], ['a.jpg'], ['a.jpg']),  # that of another image
    ],
)
def test_other_files_are_not(tmp_path, names, files, taken):
    assert find(tmp_path, names, *files, taken=taken) == {}


def test_the_longest_end_counts(tmp_path):
    assert find(tmp_path, ['p/train/1.jpg'], '1.jpg', 'train/1.jpg', 'val/1.jpg') == {
        'p/train/1.jpg': ('train/1.jpg',)
    }


def test_several_files_or_names_are_a_guess(tmp_path):
    assert find(tmp_path, ['a.JPG'], 'a.jpg', 'A.jpg') == {'a.JPG': ('A.jpg', 'a.jpg')}
    found = find(tmp_path, ['x/b.jpg', 'y/b.jpg'], 'b.jpg')
    assert all(set(files) == {'b.jpg'} and len(files) > 1 for files in found.values())
    assert len(found) == 2
