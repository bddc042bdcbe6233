"""Images: file names, and photos against what the file says of them."""

from pathlib import Path

import numpy as np
import pytest

from mmdet_multigrain.checks import images
from mmdet_multigrain.checks.data import CocoData
from mmdet_multigrain.checks.photos import Photo
from mmdet_multigrain.coco.looks import Look


def found(entries, photos=None, boxes=()):
    """Image numbers by code; an image without boxes is no matter here."""
    data = CocoData(
        {
            'images': [
                {'id': n, 'width': 100, 'height': 80, **entry}
                for n, entry in enumerate(entries, start=1)
            ],
            'annotations': [
                {'id': n, 'image_id': 1, 'category_id': 1, 'bbox': bbox}
                for n, bbox in enumerate(boxes, start=1)
            ],
            'categories': [{'id': 1, 'name': 'coat'}],
        },
        path=Path('x.json'),
        photos=photos,
        max_examples=9,
    )
    result = {
        finding.check.code: [int(example.split()[1].rstrip(':')) for example in finding.examples]
        for finding in images.CHECKS.run(data)
    }
    result.pop('image-without-boxes', None)
    return result


def named(*names):
    return found([{'file_name': name} for name in names])


def test_names_to_be_proud_of():
    assert named('a.jpg', 'b/a.jpg', 'Größe 1.jpg', 'a..jpg', '..a/b.jpg', 'x/../c.jpg') == {}


def test_names_that_are_none():
    assert named(None, '', '  ', 3, ['a'], 'a.jpg') == {'file-name-missing': [1, 2, 3, 4, 5]}


def test_names_of_two_images():
    assert named('a.jpg', 'b.jpg', 'a.jpg', 'A.jpg', 'a.JPG') == {
        'file-name-twice': [3],
        'file-name-case': [4, 5],
    }
    assert found([{'file_name': 'a.jpg'}, {'file_name': 'a.jpg', 'id': 1}]) == {}  # ids says so
    assert named('a.jpg', './a.jpg', 'x/a.jpg', 'x//a.jpg', 'y/../a.jpg') == {
        'file-name-twice': [2, 4, 5]
    }


def test_names_that_leave_the_folder():
    assert named(
        '/data/a.jpg', 'C:\\a.jpg', '\\\\host\\a.jpg', '../a.jpg', 'x/../../b.jpg', '..\\c.jpg'
    ) == {'file-name-absolute': [1, 2, 3], 'file-name-above-folder': [4, 5, 6]}


@pytest.mark.parametrize(
    'size',
    [
        {'width': None},
        {'height': 0},
        {'width': -1},
        {'width': '100'},
        {'height': float('nan')},
        {'width': True},
        {'height': 10**400},
    ],
)
def test_sizes_that_are_none(size):
    assert found([{'file_name': 'a.jpg', **size}]) == {'image-size-missing': [1]}


def test_only_photos_tell_a_missing_size():
    for photos, fixable in ((None, False), ({'a.jpg': Photo('a.jpg', (3, 4))}, True)):
        data = CocoData(
            {'images': [{'id': 1, 'file_name': 'a.jpg'}]}, path=Path('x'), photos=photos
        )
        assert [
            finding.check.fixable
            for finding in images.CHECKS.run(data)
            if finding.check.code == 'image-size-missing'
        ] == [fixable]


def of_photo(size, *boxes, orientation=1, **stated):
    return found(
        [{'file_name': 'a.jpg', **stated}],
        {'a.jpg': Photo('a.jpg', size, orientation=orientation)},
        boxes,
    )


def test_a_photo_of_the_stated_size():
    assert of_photo((100, 80), [0, 0, 100, 80]) == of_photo((100, 80), orientation=6) == {}


def test_photos_that_are_not_there_or_damaged():
    photos = {'a.jpg': Photo('dir/a.jpg'), 'b.jpg': Photo('dir/b.jpg', problem='an empty file')}
    assert found([{'file_name': 'a.jpg'}, {'file_name': 'b.jpg'}], photos) == {
        'photo-absent': [1],
        'photo-unreadable': [2],
    }


def test_black_photos():
    def photo(*values):
        look = Look(np.zeros((32, 32), np.uint8), np.zeros(64, bool), *map(float, values))
        return Photo('x', (100, 80), look=look)

    photos = {
        '1.jpg': photo(0, 3, 3),
        '2.jpg': photo(2, 16, 255),  # but for a few pixels
        '3.jpg': photo(0, 64, 64),
        '4.jpg': photo(200, 208, 255),
        '5.jpg': photo(0, 65, 65),
        '6.jpg': photo(190, 255, 255),
        '7.jpg': Photo('x', (100, 80)),
    }
    assert found([{'file_name': name} for name in photos], photos) == {'photo-black': [1, 2, 3, 4]}


def test_a_size_that_boxes_do_not_speak_for_is_wrong():
    box_in_both = [10, 10, 30, 30]
    assert of_photo((80, 100), box_in_both) == {'image-size-wrong': [1]}  # written the other way
    assert of_photo((101, 81), [0, 0, 100, 80]) == {'image-size-wrong': [1]}
    assert of_photo((99, 80), [0, 0, 100, 80]) == {'image-size-wrong': [1]}  # a pixel, no scale
    assert of_photo((70, 80), box_in_both) == {'image-size-wrong': [1]}


def test_a_photo_of_another_scale_is_not_the_annotated_one():
    for size in ((50, 40), (200, 160), (103, 82)):
        assert of_photo(size, [10, 10, 10, 10]) == {'photo-rescaled': [1]}
    assert of_photo((70, 80), [50, 0, 50, 80]) == {'photo-rescaled': [1]}  # or a cropped one


def test_a_photo_that_exif_turns():
    assert of_photo((80, 100), orientation=6) == {'photo-turned-by-exif': [1]}
    assert of_photo((80, 100), orientation=6, width=80, height=100) == {}
    assert of_photo((90, 100), orientation=6) == {'image-size-wrong': [1]}


@pytest.mark.parametrize('orientation', [2, 3, 4])
def test_a_turn_that_leaves_the_size_is_doubtful(orientation):
    box = [10, 10, 30, 30]
    assert of_photo((100, 80), box, orientation=orientation) == {
        'photo-perhaps-turned-by-exif': [1]
    }
    assert of_photo((100, 80), orientation=orientation) == {}  # no box can miss
    assert of_photo((100, 80), box, orientation=1) == {}


@pytest.mark.parametrize('orientation', [5, 6, 7, 8])
def test_a_square_photo_that_exif_turns_is_doubtful(orientation):
    square = {'width': 80, 'height': 80, 'orientation': orientation}
    assert of_photo((80, 80), [1, 1, 9, 9], **square) == {'photo-perhaps-turned-by-exif': [1]}
    assert of_photo((80, 100), [1, 1, 9, 9], orientation=orientation) == {
        'photo-turned-by-exif': [1]
    }


@pytest.mark.parametrize(
    'sizes, expected',
    [
        ([(80, 100)], {'photo-turned-by-exif': [1, 2]}),  # stated as stored: so are boxes
        ([(100, 80)], {}),  # stated upright
        (
            [(80, 100), (100, 80)],
            {'photo-turned-by-exif': [2], 'photo-perhaps-turned-by-exif': [1]},
        ),
    ],
)
def test_other_photos_tell_which_pixels_boxes_refer_to(sizes, expected):
    entries = [{'file_name': '1.jpg'}]
    photos = {'1.jpg': Photo('1.jpg', (100, 80), orientation=3)}
    for number, size in enumerate(sizes, start=2):
        entries.append({'file_name': f'{number}.jpg', 'width': 100, 'height': 80})
        photos[f'{number}.jpg'] = Photo(f'{number}.jpg', size, orientation=6)
    assert found(entries, photos, [[1, 1, 9, 9]]) == expected


def test_names_that_folders_seldom_have():
    doubtful = ['a\\b.jpg', 'https://a.org/b.jpg', 'a%20b.jpg', '100%.jpg', 'a+b.jpg']
    assert named(*doubtful) == {'file-name-doubtful': [1, 2, 3]}
    entries = [{'file_name': name} for name in doubtful]
    photos = {name: Photo(name, (100, 80)) for name in doubtful}
    assert found(entries, photos) == {}


def test_photos_under_another_name():
    photos = {
        '../a.jpg': Photo('p/a.jpg', (100, 80), named='a.jpg'),
        'b.jpg': Photo('p/b.jpg', candidates=('B.jpg', 'b.JPG')),
        'c.jpg': Photo('p/c.jpg'),
    }
    assert found([{'file_name': name} for name in photos], photos) == {
        'photo-named-otherwise': [1],
        'photo-ambiguous': [2],
        'photo-absent': [3],
    }


@pytest.mark.parametrize(
    'boxes, is_swapped',
    [
        ([[10, 50, 60, 45]], True),
        ([[10, 50, 60, 31.5]], False),  # hardly outside
        ([[10, 50, 60, 45], [70, 0, 15, 10]], False),  # one fits neither way
        ([[10, 50, 60, 60]], False),
        ([[10, 10, 60, 60]], False),
        ([], False),
    ],
)
def test_sizes_with_swapped_sides(boxes, is_swapped):
    entries = [{'file_name': 'a.jpg'}]
    expected = {'image-size-swapped': [1]} if is_swapped else {}
    assert found(entries, None, boxes) == expected
    assert found(entries, {'a.jpg': Photo('a.jpg', (100, 80))}, boxes) == {}
    if is_swapped:
        turned = {'a.jpg': Photo('a.jpg', (80, 100))}
        assert found(entries, turned, boxes) == {'image-size-wrong': [1]}


def test_images_without_boxes_are_noted():
    data = CocoData(
        {'images': [{'id': 1, 'file_name': 'a.jpg', 'width': 1, 'height': 1}]}, path=Path('x')
    )
    [finding] = images.CHECKS.run(data)
    assert (finding.check.code, finding.check.severity, finding.examples) == (
        'image-without-boxes',
        'note',
        ("image 1 ('a.jpg')",),
    )
