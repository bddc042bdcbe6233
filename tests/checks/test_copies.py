"""Photos that are there twice, in one file or in both: by name without photos, by content with them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmdet_multigrain.checks import copies
from mmdet_multigrain.checks.data import CocoData
from mmdet_multigrain.checks.photos import read_photos


def data(split, names, folder=None):
    return CocoData(
        {'images': [{'id': n, 'file_name': name} for n, name in enumerate(names, start=1)]},
        path=Path('x.json'),
        split=split,
        photos=None if folder is None else read_photos(folder, dict.fromkeys(names), workers=1),
    )


def found(*files):
    return {
        finding.check.code: (finding.count, finding.examples) for finding in copies.check(files)
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
    assert found(train, data('val', ['a', 'b'])) == {
        'file-name-in-both-splits': (
            2,
            ("image 1 ('a') and image 1 ('a')", "image 2 ('b') and image 2 ('b')"),
        )
    }


def test_one_file_under_two_paths(tmp_path):
    (tmp_path / 'a').write_bytes(b'1')
    (tmp_path / 'sub').mkdir()
    assert found(data('train', ['a'], tmp_path), data('val', ['sub/../a'], tmp_path)) == {
        'photo-in-both-splits': (1, ("image 1 ('a') and image 1 ('sub/../a')",))
    }


@pytest.mark.parametrize('kind', ['copy', 'link', 'hard link'])
def test_photos_twice_in_a_file(tmp_path, kind):
    (tmp_path / 'a').write_bytes(b'1')
    (tmp_path / 'b').write_bytes(b'2')
    if kind == 'copy':
        (tmp_path / 'c').write_bytes(b'1')
    elif kind == 'link':
        (tmp_path / 'c').symlink_to(tmp_path / 'a')
    else:
        (tmp_path / 'c').hardlink_to(tmp_path / 'a')
    twice = data('train', ['c', 'b', 'a', './a', 'a'], tmp_path)
    names = ("image 3 ('a') and image 1 ('c')", "image 4 ('./a') and image 1 ('c')")
    assert found(twice)['photo-twice'] == (3, (*names, "image 5 ('a') and image 1 ('c')"))
    # Where only the writing differs, a finding about names says so.
    assert found(data('', ['a', './a', 'sub/../a', 'b'], tmp_path)) == {}


def test_an_image_that_is_listed_twice_is_a_finding_about_ids(tmp_path):
    for name in 'ac':
        (tmp_path / name).write_bytes(b'1')
    twice = data('train', ['a', 'c'], tmp_path)
    twice.images[1]['id'] = 1
    assert found(twice) == {}


def test_photos_that_look_alike_in_both_files(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (3, 6, 7, 3), dtype=np.uint8)

    def save(name, number, size, **options):
        image = Image.fromarray(pixels[number]).resize(size, Image.Resampling.BICUBIC)
        image.save(tmp_path / name, **options)

    save('a.png', 0, (140, 120))
    save('b.png', 1, (140, 120))
    save('small.jpg', 0, (70, 60), quality=60)
    save('large.jpg', 0, (280, 240))
    save('c.png', 2, (140, 120))
    (tmp_path / 'copy.png').write_bytes((tmp_path / 'b.png').read_bytes())
    for name in ('black.png', 'gray.jpg'):
        Image.new('L', (140, 120), 3).save(tmp_path / name)
    train = data('train', ['a.png', 'b.png', 'black.png'], tmp_path)
    val = data('val', ['c.png', 'small.jpg', 'copy.png', 'large.jpg', 'gray.jpg'], tmp_path)
    assert found(train, val) == {
        'photo-in-both-splits': (1, ("image 2 ('b.png') and image 3 ('copy.png')",)),
        'photo-alike-in-both-splits': (1, ("image 1 ('a.png') and image 2 ('small.jpg')",)),
    }
