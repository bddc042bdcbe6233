"""Images: file names, and photos against what the file says of them."""

from pathlib import Path

import pytest

from mmdet_multigrain.checks import images
from mmdet_multigrain.checks.data import CocoData
from mmdet_multigrain.checks.photos import Photo


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
    )
    result = {
        finding.check.code: [int(example.split()[1]) for example in finding.examples]
        for finding in images.check(data)
    }
    result.pop('image-without-boxes', None)
    return result


def named(*names):
    return found([{'file_name': name} for name in names])


def test_names_to_be_proud_of():
    assert named('a.jpg', 'b/a.jpg', 'Größe 1.jpg', 'a..jpg', '..a/b.jpg', 'x/../c.jpg') == {}


def test_names_that_are_none():
    assert named(None, '', '  ', 3, ['a'], 'a.jpg') == {'file-name-missing': [1, 2, 3]}


def test_names_of_two_images():
    assert named('a.jpg', 'b.jpg', 'a.jpg', 'A.jpg', 'a.JPG') == {
        'file-name-twice': [3],
        'file-name-case': [4, 5],
    }
    assert found([{'file_name': 'a.jpg'}, {'file_name': 'a.jpg', 'id': 1}]) == {}  # ids says so


def test_names_that_leave_the_folder():
    assert named(
        '/data/a.jpg', 'C:\\a.jpg', '\\\\host\\a.jpg', '../a.jpg', 'x/../../b.jpg', '..\\c.jpg'
    ) == {'file-name-absolute': [1, 2, 3], 'file-name-above-folder': [4, 5, 6]}
    assert images.absolute_names.severity == images.names_above_folder.severity == 'error'


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
            for finding in images.check(data)
            if finding.check.code == 'image-size-missing'
        ] == [fixable]


def of_photo(size, *boxes, turned=False, **stated):
    return found(
        [{'file_name': 'a.jpg', **stated}], {'a.jpg': Photo('a.jpg', size, turned=turned)}, boxes
    )


def test_a_photo_of_the_stated_size():
    assert of_photo((100, 80), [0, 0, 100, 80]) == of_photo((100, 80), turned=True) == {}


def test_photos_that_are_not_there_or_damaged():
    photos = {'a.jpg': Photo('dir/a.jpg'), 'b.jpg': Photo('dir/b.jpg', problem='an empty file')}
    assert found([{'file_name': 'a.jpg'}, {'file_name': 'b.jpg'}], photos) == {
        'photo-absent': [1],
        'photo-unreadable': [2],
    }


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
    assert of_photo((80, 100), turned=True) == {'photo-turned-by-exif': [1]}
    assert of_photo((80, 100), turned=True, width=80, height=100) == {}
    assert of_photo((90, 100), turned=True) == {'image-size-wrong': [1]}


def test_images_without_boxes_are_noted():
    data = CocoData(
        {'images': [{'id': 1, 'file_name': 'a.jpg', 'width': 1, 'height': 1}]}, path=Path('x')
    )
    [finding] = images.check(data)
    assert (finding.check.code, finding.check.severity, finding.examples) == (
        'image-without-boxes',
        'note',
        ("image 1 ('a.jpg')",),
    )
