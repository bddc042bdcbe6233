"""Reading photos: real files of each kind of damage, and equal contents."""

import shutil

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmdet_multigrain.checks.photos import TAIL_BYTES, Photo, equal_files, read_photos


@pytest.fixture
def picture():
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 40, 3), np.uint8))


def read(folder, stated, **options):
    return {
        name: (photo.size, photo.problem, photo.orientation)
        for name, photo in read_photos(folder, stated, workers=1, **options).items()
    }


@pytest.mark.parametrize('full_decode', [False, True])
def test_sizes_of_whole_photos(tmp_path, picture, full_decode):
    names = ['a.jpg', 'größe b.png', 'c.webp', 'd.bmp']
    for name in names:
        picture.save(tmp_path / name)
    assert read(tmp_path, dict.fromkeys(names, (40, 24)), full_decode=full_decode) == {
        name: ((40, 24), '', 1) for name in names
    }


@pytest.mark.parametrize('full_decode', [False, True])
def test_what_is_no_photo(tmp_path, full_decode):
    (tmp_path / 'empty.jpg').touch()
    (tmp_path / 'text.png').write_text('not a picture')
    (tmp_path / 'folder.jpg').mkdir()
    photos = read_photos(
        tmp_path,
        dict.fromkeys(('empty.jpg', 'text.png', 'folder.jpg', 'none.jpg', 'nul\0.jpg'), (1, 1)),
        workers=1,
        full_decode=full_decode,
    )
    assert {
        name: (photo.size, bool(photo.problem), photo.is_absent) for name, photo in photos.items()
    } == {
        'empty.jpg': (None, True, False),
        'text.png': (None, True, False),
        'folder.jpg': (None, True, False),
        'none.jpg': (None, False, True),
        'nul\0.jpg': (None, False, True),
    }
    assert all('\n' not in photo.problem for photo in photos.values())


@pytest.mark.parametrize('suffix', ['jpg', 'png'])
def test_only_decoding_finds_truncated_photos(tmp_path, picture, suffix):
    path = tmp_path / f'a.{suffix}'
    picture.save(path)
    path.write_bytes(path.read_bytes()[:-400])
    assert read(tmp_path, {path.name: (40, 24)})[path.name] == ((40, 24), '', 1)
    size, problem, _ = read(tmp_path, {path.name: (40, 24)}, full_decode=True)[path.name]
    assert size is None and 'truncated' in problem


@pytest.mark.parametrize('full_decode', [False, True])
@pytest.mark.parametrize('orientation', [None, *range(2, 9)])
def test_photos_that_exif_turns(tmp_path, picture, orientation, full_decode):
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    picture.save(tmp_path / 'a.jpg', exif=exif)
    height, width = cv2.imread(str(tmp_path / 'a.jpg')).shape[:2]
    assert read(tmp_path, {'a.jpg': (40, 24)}, full_decode=full_decode) == {
        'a.jpg': ((width, height), '', orientation or 1)
    }


@pytest.mark.parametrize(('is_turned', 'orientation'), [(True, 3), (False, 1)])
def test_a_turn_counts_if_the_reader_of_a_format_makes_it(
    tmp_path, picture, monkeypatch, is_turned, orientation
):
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down: the size is the same
    picture.save(tmp_path / 'a.webp', exif=exif, lossless=True)
    stored = np.asarray(picture)
    monkeypatch.setattr(
        'mmdet_multigrain.checks.photos._by_opencv',
        lambda path, *, turn=True: stored[::-1, ::-1] if turn and is_turned else stored,
    )
    assert read(tmp_path, ['a.webp']) == {'a.webp': ((40, 24), '', orientation)}


@pytest.mark.parametrize('decoded', [None, np.zeros((24, 39, 3), np.uint8)])
def test_photos_that_opencv_does_not_decode_whole(tmp_path, picture, monkeypatch, decoded):
    picture.save(tmp_path / 'a.png')
    monkeypatch.setattr('mmdet_multigrain.checks.photos._by_opencv', lambda path: decoded)
    photo = read(tmp_path, ['a.png'], full_decode=True)['a.png']
    assert photo == (None, 'OpenCV cannot decode it', 1)


def test_other_processes_see_the_same(tmp_path, picture):
    for name in ('a.jpg', 'b.jpg'):
        picture.save(tmp_path / name)
    stated = dict.fromkeys(('a.jpg', 'none.jpg', 'b.jpg'), (40, 24))
    for full_decode in (False, True):
        assert read_photos(tmp_path, stated, workers=2, full_decode=full_decode) == read_photos(
            tmp_path, stated, workers=1, full_decode=full_decode
        )


def test_absent_is_not_unreadable():
    assert Photo('a').is_absent
    assert not Photo('a', problem='x').is_absent and not Photo('a', (1, 1)).is_absent


def test_photos_are_decoded_to_see_how_they_look(tmp_path, picture, monkeypatch):
    names = [f'{n}.png' for n in range(7)]
    for name in names:
        picture.save(tmp_path / name)
    (tmp_path / '3.png').write_bytes(b'text')
    monkeypatch.setattr('mmdet_multigrain.checks.photos.MAX_LOOKED_AT', 4)
    for full_decode, expected in ((False, '025'), (True, '012456')):
        photos = read_photos(tmp_path, names, workers=1, full_decode=full_decode)
        decoded = [name[0] for name, photo in photos.items() if photo.look is not None]
        assert ''.join(decoded) == expected and list(photos) == names
    assert photos['1.png'].look.high > 200


def test_equal_contents_under_other_names(tmp_path):
    content = bytes(range(256)) * 20
    start, middle, end = (bytearray(content) for _ in range(3))
    start[0], middle[-TAIL_BYTES - 1], end[-1] = 9, 9, 9  # of one size, but not the same
    for name, data in dict(a=content, b=start, c=middle, d=end, e=b'', f=content[:-1]).items():
        (tmp_path / name).write_bytes(data)
    for name in ('copy', 'copy2'):
        shutil.copy(tmp_path / 'a', tmp_path / name)
    paths = [str(tmp_path / name) for name in ('a', 'b', 'd', 'none', 'c', 'e', 'f')]
    copies = [str(tmp_path / name) for name in ('copy', 'copy2')]
    assert equal_files(paths) == []
    assert equal_files([*paths, *copies]) == [[paths[0], *copies]]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([b'', b'a', b'b', b'aa', b'ab']), max_size=8))
def test_equal_files_are_those_of_a_slow_reference(tmp_path_factory, contents):
    folder = tmp_path_factory.mktemp('files')
    expected = {}
    for number, content in enumerate(contents):
        (folder / str(number)).write_bytes(content)
        expected.setdefault(content, []).append(str(folder / str(number)))
    groups = equal_files(str(folder / str(number)) for number in range(len(contents)))
    assert sorted(groups) == sorted(group for group in expected.values() if len(group) > 1)
