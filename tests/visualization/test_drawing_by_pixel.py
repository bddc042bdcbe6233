"""Where lines and plates of pictures are, pixel by pixel."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mmdet_multigrain.visualization import pictures
from mmdet_multigrain.visualization.pictures import (
    MISSED,
    Mark,
    _corners,
    _plate,
    _tie,
    _write_plate,
    captioned,
    draw_marks,
    jpeg,
    on_sheet,
    shorten_to,
)

BLUE = (0, 0, 200)
GRAY = (128, 128, 128)
CASED = (212, 212, 212)  # two thirds of white on gray


def gray(width=200, height=100):
    return Image.new('RGB', (width, height), GRAY)


def outlined(mark, **size):
    """Where a mark's color and its casing are, as masks."""
    picture = np.asarray(draw_marks(gray(**size), [mark])).astype(int)
    cased = (np.abs(picture - CASED) <= 2).all(-1)
    return (picture == mark.color).all(-1), cased


def frame(shape, x1, y1, x2, y2, width):
    """A mask of lines of that width along the inside of a rectangle."""
    mask = np.zeros(shape, bool)
    mask[y1 : y2 + 1, x1 : x2 + 1] = True
    mask[y1 + width : y2 + 1 - width, x1 + width : x2 + 1 - width] = False
    return mask


@pytest.mark.parametrize(('side', 'width'), [(100, 2), (480, 2), (660, 3), (1100, 5)])
def test_lines_grow_with_the_picture_and_are_cased(side, width):
    color, cased = outlined(Mark((20, 30, 50, 40), color=BLUE), width=side + 7, height=side)
    shape = (side, side + 7)
    line = frame(shape, 20, 30, 70, 70, width)
    assert (color == line).all()
    assert (cased == frame(shape, 19, 29, 71, 71, width + 2) & ~line).all()


def test_dashes():
    """Lines of 3 pixels in dashes of 12, with gaps of 6, from each corner."""
    color, cased = outlined(Mark((20, 30, 60, 40), color=BLUE, dashed=True))
    dashed = np.zeros((100, 200), bool)
    for start in (20, 38, 56, 74):
        end = min(start + 12, 81)
        dashed[30:33, start:end] = dashed[68:71, start:end] = True
    for start in (30, 48, 66):
        end = min(start + 12, 71)
        dashed[start:end, 20:23] = dashed[start:end, 78:81] = True
    assert (color == dashed).all()
    assert (cased == frame((100, 200), 19, 29, 81, 71, 5) & ~dashed).all()


def test_marks_are_red_and_whole_by_default():
    assert Mark((0, 0, 9, 9)) == Mark((0, 0, 9, 9), '', (214, 0, 0), False) and MISSED[0] == 214


@pytest.mark.parametrize(
    ('box', 'expected'),
    [
        ((20, 30, 40, 50), (20, 40, 100, 140)),
        ((20.3, 30.3, 0, 0), (21, 41, 21, 41)),
        ((5, 10, 10, 10), (-10, 0, 10, 20)),
        ((-1e9, -1e9, 1, 1), (-100, -100, -100, -100)),
        ((1e9, 1e9, 1, 1), (400, 300, 400, 300)),
        ((0, 0, 1e9, 1e9), (-20, -20, 299, 199)),
    ],
)
def test_corners_in_the_picture(box, expected):
    """Of a part from (10, 10), enlarged to twice its size."""
    assert _corners(box, (10, 10, 160, 110), (2.0, 2.0), (300, 200)) == expected


@pytest.mark.parametrize(('x', 'tied'), [(43, False), (44, True)])
def test_a_label_is_tied_from_four_pixels_on(x, tied):
    picture = gray()
    _tie(ImageDraw.Draw(picture, 'RGBA'), (20, 20, 40, 40), (x, 24, 30, 10), BLUE)
    color = (np.asarray(picture) == BLUE).all(-1)
    rows, columns = np.nonzero(color)
    if not tied:
        assert picture.tobytes() == gray().tobytes()
        return
    assert {*rows} == {29} and (columns.min(), columns.max()) == (40, 44)
    assert (np.abs(np.asarray(picture)[[28, 30], 41].astype(int) - CASED) <= 2).all()


@pytest.mark.parametrize(('font_size', 'pad'), [(11, 2), (12, 2), (18, 3), (36, 6)])
def test_plates_have_a_margin_and_one_height(font_size, pad):
    plate, low = _plate('Skirt 0.9', font_size, (400, 300)), _plate('...', font_size, (400, 300))
    left, _, right, _ = plate.font.getbbox(plate.text, anchor='ls')
    ascent, descent = plate.font.getmetrics()
    assert plate.font.size == font_size
    assert plate.size == (round(right - left + 2 * pad), ascent + descent + 1)
    assert plate.start == (pad - left, ascent) and low.size[1] == plate.size[1]
    narrow = _plate('a very long name of a class', font_size, (60, 10))
    assert narrow.text == shorten_to('a very long name of a class', 60 - 2 * pad, font_size)[0]
    assert narrow.size[0] <= 60 and narrow.size[1] == 10


def test_a_plate_fills_its_place():
    picture = gray()
    plate = _plate('a', 12, picture.size)
    _write_plate(ImageDraw.Draw(picture), plate, (50, 40), BLUE)
    changed = (np.asarray(picture) != GRAY).any(-1)
    expected = np.zeros((100, 200), bool)
    width, height = plate.size
    expected[40 : 40 + height, 50 : 50 + width] = True
    assert (changed == expected).all()
    letters = np.nonzero((np.asarray(picture) > 240).all(-1))
    assert letters[1].min() >= 52 and letters[1].max() < 50 + width - 1
    assert -2 <= letters[0].max() - (40 + plate.start[1]) < 0  # on the line


def test_letters_are_black_on_bright_plates():
    picture = gray()
    plate = _plate('M', 30, picture.size)
    _write_plate(ImageDraw.Draw(picture), plate, (0, 0), (250, 240, 60))
    assert (np.asarray(picture) < 20).all(-1).any() and not (np.asarray(picture) > 252).any()


@pytest.mark.parametrize(('width', 'size'), [(100, 11), (400, 12), (448, 14), (2000, 15)])
def test_captions(width, size, monkeypatch):
    asked = []

    def recorded(text, room, font_size, *, bold=False):
        asked.append((text, room, font_size, bold))
        return shorten_to(text, room, font_size, bold=bold)

    monkeypatch.setattr(pictures, 'shorten_to', recorded)
    whole = captioned(gray(width, 20), ['name', 'detail', 'more'])
    assert asked == [(text, width - 6, size, text == 'name') for text in ('name', 'detail', 'more')]
    step = round(1.4 * size)
    assert whole.size == (width, 20 + 3 * step + 6)
    dark = np.asarray(whole.convert('L'))[:-20] < 150
    assert np.nonzero(dark)[1].min() in (3, 4)
    for line in range(3):  # each in its row
        assert dark[3 + step * line : 3 + step * (line + 1)].any()
    assert not dark[:3].any() and not dark[3 + 3 * step :].any()


def test_sheets_of_uneven_rows():
    sheet = on_sheet([gray(10, 10), gray(30, 20), gray(21, 6), gray(5, 8)], columns=3, gap=4)
    shown = (np.asarray(sheet) == GRAY).all(-1)
    expected = np.zeros((4 + 20 + 4 + 8 + 4, 4 + 10 + 4 + 30 + 4 + 21 + 4), bool)
    expected[4:14, 4:14] = expected[4:24, 18:48] = expected[4:10, 52:73] = True
    expected[28:36, 6:11] = True
    assert (shown == expected).all()
    assert sheet.getpixel((0, 0)) == (236, 236, 236)


def test_jpegs_keep_the_colors_of_thin_lines():
    with Image.open(io.BytesIO(jpeg(gray()))) as picture:
        assert [layer[1:3] for layer in picture.layer] == [(1, 1)] * 3  # no subsampling
        content = io.BytesIO()
        gray().save(content, format='JPEG', quality=90)
        assert picture.quantization == Image.open(content).quantization
