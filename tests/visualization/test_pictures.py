"""Boxes and labels on photos, sheets, captions, and reading photos as detectors do."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from mmdet_multigrain.utils.errors import ReportError
from mmdet_multigrain.visualization.pictures import (
    MISSED,
    Mark,
    _tie,
    around,
    captioned,
    draw_marks,
    fit,
    font_for,
    jpeg,
    on_sheet,
    read_photo,
    shorten_to,
)

BLUE = (0, 0, 200)


def gray(width=200, height=100):
    return Image.new('RGB', (width, height), (128, 128, 128))


def pixels(picture, color):
    """Where a picture has a color: rows and columns."""
    return np.nonzero((np.asarray(picture) == color).all(axis=-1))


def test_a_box_is_drawn_on_its_pixels():
    photo = gray()
    picture = draw_marks(photo, [Mark((20, 30, 100, 50), color=BLUE)])
    rows, columns = pixels(picture, BLUE)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (30, 80, 20, 120)
    assert picture.getpixel((70, 55)) == (128, 128, 128)
    assert (
        picture.getpixel((70, 29))[0] > 128
    )  # a bright line next to it makes it visible on any background
    assert not len(pixels(photo, BLUE)[0])  # the photo stays as it is


def test_a_box_is_enlarged_with_its_photo():
    picture = draw_marks(gray(), [Mark((20, 30, 100, 50), color=BLUE)], size=(400, 200))
    rows, columns = pixels(picture, BLUE)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (60, 160, 40, 240)


def test_a_part_of_a_photo():
    picture = draw_marks(
        gray(), [Mark((20, 30, 100, 50), color=BLUE)], size=(480, 320), region=(10, 20, 130, 100)
    )
    rows, columns = pixels(picture, BLUE)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (40, 240, 40, 440)


def test_a_dashed_box_is_there_in_part():
    def share(dashed):
        picture = draw_marks(gray(), [Mark((20, 30, 100, 50), color=BLUE, dashed=dashed)])
        return len(pixels(picture.crop((20, 30, 121, 31)), BLUE)[0]) / 101

    assert share(False) == 1
    assert 0.5 < share(True) < 0.8


def test_a_box_that_ends_with_the_photo_shows_all_its_sides():
    picture = np.asarray(draw_marks(gray(), [Mark((0, 0, 200, 100), color=BLUE)]))
    for line in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
        assert (line == BLUE).all()


def test_small_boxes_lie_on_large_ones():
    small, large = Mark((50, 20, 20, 30), color=MISSED), Mark((20, 20, 150, 70), color=BLUE)
    for marks in ([small, large], [large, small]):
        assert draw_marks(gray(), marks).getpixel((60, 20)) == MISSED


def test_a_label_has_a_plate_of_the_boxs_color_and_stays_off_it():
    marks = [Mark((50, 60, 20, 20), 'skirt 0.91', BLUE)]
    picture = draw_marks(gray(), marks)
    plain = draw_marks(gray(), [Mark((50, 60, 20, 20), '', BLUE)])
    changed = np.nonzero((np.asarray(picture) != np.asarray(plain)).any(axis=-1))
    assert changed[0].max() < 60  # above the box
    plate = np.asarray(picture)[changed[0].min() : changed[0].max() + 1, 50:100]
    assert (plate == BLUE).all(axis=-1).mean() > 0.4
    assert (plate > 200).all(axis=-1).any()  # white letters


@pytest.mark.parametrize(
    ('plate', 'point'),
    [
        ((60, 20, 30, 10), (50, 25)),  # to the right: a level line
        ((20, 60, 30, 10), (30, 50)),  # below: an upright one
        ((60, 60, 30, 10), (50, 50)),  # from corner to corner
        ((41, 20, 30, 10), None),
    ],
)  # they touch
def test_a_label_that_had_to_move_is_tied_to_its_box(plate, point):
    picture = gray()
    _tie(ImageDraw.Draw(picture, 'RGBA'), (20, 20, 40, 40), plate, BLUE)
    if point is None:
        assert picture.tobytes() == gray().tobytes()
    else:
        assert picture.getpixel(point) == BLUE


@pytest.mark.parametrize('text', ['Ärmel lang 0.91', 'юбка 0.50', 'φούστα', 'robe d’été × 0.1'])
def test_names_beyond_ascii_have_letters(text):
    """A letter that the font lacks is drawn as the same box for all of them."""
    font = font_for(text, 20)
    shapes = {bytes(font.getmask(letter)) for letter in text if letter != ' '}
    assert bytes(font.getmask('\U0010ffff')) not in shapes
    assert len(shapes) == len(set(text) - {' '})


def test_long_labels_are_shortened():
    text, font = shorten_to('a very long name of a class of clothing', 100, 12)
    assert text.endswith('…') and 80 < font.getlength(text) <= 100
    assert shorten_to('short', 100, 12)[0] == 'short'
    assert shorten_to('x' * 50, 0, 12)[0] == '…'


numbers = st.floats(-1e12, 1e12) | st.integers(-50, 300)
any_mark = st.builds(
    Mark,
    st.tuples(numbers, numbers, st.floats(0, 1e12) | st.integers(0, 300), st.integers(0, 9)),
    st.sampled_from(['', 'skirt 0.91', 'юбка', 'x' * 99, '\n']),
    st.just(BLUE),
    st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(any_mark, max_size=4), st.integers(1, 90), st.integers(1, 90))
def test_any_box_can_be_drawn_on_any_photo(marks, width, height):
    photo = gray(width, height)
    first, second = draw_marks(photo, marks), draw_marks(photo, marks)
    assert first.size == (width, height)
    assert jpeg(first) == jpeg(second)
    assert captioned(first, ['a name', 'detail']).width == width


def test_pictures_fill_their_room():
    assert fit((96, 120), (480, 960)) == (480, 600)
    assert fit((4000, 3000), (480, 960)) == (480, 360)
    assert fit((100, 1000), (480, 960)) == (96, 960)
    assert fit((1, 5000), (480, 960)) == (1, 960)


def test_the_part_around_a_box():
    # 1.5 times the width of the box, twice as high, around its middle.
    assert around([(400, 300, 200, 100)], (1000, 1000), shape=2, least=0.1) == (350, 50, 650, 650)
    # At the border it moves into the photo; small boxes keep some of their surroundings.
    assert around([(0, 0, 10, 10)], (1000, 800), shape=1, least=0.25) == (0, 0, 200, 200)
    assert around([(990, 790, 10, 10)], (1000, 800), shape=1, least=0.25) == (800, 600, 1000, 800)
    # Never more than the photo.
    assert around([(0, 0, 96, 120)], (96, 120), shape=1.2) == (0, 0, 96, 120)


@given(st.lists(st.tuples(*[st.integers(0, 50)] * 4), min_size=1, max_size=3))
def test_the_part_around_boxes_holds_them(boxes):
    x1, y1, x2, y2 = around(boxes, (100, 100), shape=1.2)
    assert 0 <= x1 < x2 <= 100 and 0 <= y1 < y2 <= 100
    for x, y, width, height in boxes:
        assert x1 <= x and y1 <= y and x + width <= x2 and y + height <= y2


def test_a_sheet_has_rows():
    sheet = on_sheet([gray(30, 20), gray(30, 40), gray(10, 10)], columns=2, gap=5)
    assert sheet.size == (5 + 30 + 5 + 30 + 5, 5 + 40 + 5 + 10 + 5)
    ground = sheet.getpixel((0, 0))
    assert sheet.getpixel((5, 5)) == sheet.getpixel((40, 44)) == (128, 128, 128)
    assert sheet.getpixel((15, 50)) == (128, 128, 128)  # narrow ones stand in the middle
    assert sheet.getpixel((5, 50)) == sheet.getpixel((40, 50)) == ground


def test_a_caption_stands_above():
    picture = captioned(gray(300, 50), ['a name', 'more'])
    assert picture.width == 300
    assert picture.crop((0, picture.height - 50, 300, picture.height)).tobytes() == (
        gray(300, 50).tobytes()
    )
    assert picture.getpixel((299, 0)) == (255, 255, 255)
    assert len(set(picture.crop((0, 0, 300, picture.height - 50)).tobytes())) > 10


def test_photos_are_read_upright(tmp_path):
    photo = Image.new('RGB', (40, 20), 'red')
    photo.paste('blue', (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    photo.save(tmp_path / 'turned.jpg', exif=exif, quality=95)
    read = read_photo(tmp_path / 'turned.jpg')
    assert read.size == (20, 40)
    assert read.getpixel((10, 5))[2] > 200 and read.getpixel((10, 35))[0] > 200  # blue on top


@pytest.mark.parametrize('mode', ['L', 'RGBA', 'P', 'I;16'])
def test_photos_of_other_kinds_become_rgb(tmp_path, mode):
    Image.new(mode, (30, 20)).save(tmp_path / 'photo.png')
    assert read_photo(tmp_path / 'photo.png').mode == 'RGB'


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (None, 'no such photo'),
        (b'', 'not a readable photo'),
        (b'text', 'not a readable photo'),
        (b'\x89PNG\r\n\x1a\n\0\0', 'not a readable photo'),
    ],
)
def test_unreadable_photos(tmp_path, content, message):
    path = tmp_path / 'photo.png'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ReportError, match=f'^{path}: {message}$'):
        read_photo(path)
    with pytest.raises(ReportError, match='cannot be read'):
        read_photo(tmp_path)


def test_jpeg_files_are_whole():
    with Image.open(io.BytesIO(jpeg(gray()))) as picture:
        picture.load()
        assert picture.format == 'JPEG' and picture.size == (200, 100)
