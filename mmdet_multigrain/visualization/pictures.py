"""Photos with boxes and labels on them, side by side and on contact sheets; and pictures as bytes.

`report.gallery` chooses photos and boxes. Everything here depends on its arguments only: the same
photo and marks give the same picture.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from matplotlib.font_manager import FontProperties, findfont, get_font
from PIL import Image, ImageDraw, ImageFont

from mmdet_multigrain.utils.errors import ReportError
from mmdet_multigrain.utils.images import file_problem
from mmdet_multigrain.utils.messages import printable

from .labels import place_labels
from .palette import MISSED, Color
from .style import INK, MUTED, PAPER, ink_on, installed_fonts

_CASING = (255, 255, 255, 170)  # next to the lines, so that they show on any ground
_GROUND = '#ececec'
_JPEG_QUALITY = 90
_OUTSIDE = 100  # pixels; no line is so wide


@dataclass(frozen=True)
class Mark:
    """A box to draw."""

    box: tuple[float, float, float, float]  # x, y, width, height in pixels of the photo
    text: str = ''  # its label; none if empty
    color: Color = MISSED  # red, green, blue from 0 to 255
    dashed: bool = False  # draw its outline in dashes


def read_photo(path: Path) -> Image.Image:
    """A photo as detectors see it: read by OpenCV, upright by its EXIF orientation.

    Raises:
        ReportError: It is missing or not readable; one line with the path.
    """
    if problem := file_problem(path):
        raise ReportError(f'{path}: {problem}')
    try:
        pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except FileNotFoundError:
        raise ReportError(f'{path}: no such photo') from None
    except OSError as error:
        raise ReportError(f'{path}: cannot be read ({error.strerror})') from None
    except cv2.error:
        pixels = None
    if pixels is None:
        raise ReportError(f'{path}: not a readable photo')
    return Image.fromarray(pixels[..., ::-1])


def fit(size: tuple[float, float], room: tuple[int, int]) -> tuple[int, int]:
    """The size that fills the room without change of shape."""
    scale = min(room[0] / size[0], room[1] / size[1])
    return max(1, round(scale * size[0])), max(1, round(scale * size[1]))


def draw_marks(
    photo: Image.Image,
    marks: Sequence[Mark],
    *,
    size: tuple[int, int] | None = None,
    region: tuple[float, float, float, float] | None = None,
) -> Image.Image:
    """A photo, or a part of it, with boxes; small ones on top of large ones.

    Labels stay in the picture and, where there is room, off each other and off small boxes. One
    that had to move away is tied to its box by a line.

    Args:
        photo: The photo; it stays as it is.
        marks: What to draw; of two labels that want one place the first gets it.
        size: Width and height of the picture. Default: those of the photo or region.
        region: x1, y1, x2, y2 of the part to show, in pixels of the photo. Default: all of it.
    """
    region = region or (0, 0, *photo.size)
    size = size or (round(region[2] - region[0]), round(region[3] - region[1]))
    picture = photo.convert('RGB').resize(size, Image.Resampling.BICUBIC, box=region)
    scale = size[0] / (region[2] - region[0]), size[1] / (region[3] - region[1])
    corners = [_corners(mark.box, region, scale, size) for mark in marks]
    canvas = ImageDraw.Draw(picture, 'RGBA')
    line = max(2, round(min(size) / 220))
    for mark, box in sorted(zip(marks, corners, strict=True), key=lambda item: -_area(item[1])):
        _outline(canvas, box, mark, line)
    font_size = max(11, round(min(size) / 36))
    labeled = [(mark, box) for mark, box in zip(marks, corners, strict=True) if mark.text]
    boxes = [box for _, box in labeled]
    plates = [_plate(mark.text, font_size, size) for mark, _ in labeled]
    places = place_labels([plate.size for plate in plates], boxes, picture=size)
    placed = list(zip(labeled, plates, places, strict=True))
    for (mark, box), plate, place in placed:
        _tie(canvas, box, (*place, *plate.size), mark.color)
    for (mark, _), plate, place in placed:
        _write_plate(canvas, plate, place, mark.color)
    return picture


def captioned(picture: Image.Image, lines: Sequence[str]) -> Image.Image:
    """The picture below a strip of text, shortened to its width; the first line in bold."""
    font_size = max(11, min(15, round(picture.width / 32)))
    step = round(1.4 * font_size)
    whole = Image.new('RGB', (picture.width, picture.height + step * len(lines) + 6), PAPER)
    whole.paste(picture, (0, whole.height - picture.height))
    canvas = ImageDraw.Draw(whole)
    for number, text in enumerate(lines):
        head = number == 0
        text, font = shorten_to(text, picture.width - 6, font_size, bold=head)
        canvas.text((3, 3 + step * number), text, fill=INK if head else MUTED, font=font)
    return whole


def on_sheet(pictures: Sequence[Image.Image], *, columns: int, gap: int) -> Image.Image:
    """Pictures in rows on light gray; each row as high and each column as wide as need be."""
    rows = [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
    widths = [
        max(row[place].width for row in rows if place < len(row)) for place in range(len(rows[0]))
    ]
    heights = [max(picture.height for picture in row) for row in rows]
    size = tuple(sum(sides) + gap * (len(sides) + 1) for sides in (widths, heights))
    sheet = Image.new('RGB', size, _GROUND)
    top = gap
    for row, height in zip(rows, heights, strict=True):
        left = gap
        for picture, width in zip(row, widths, strict=False):
            sheet.paste(picture, (left + (width - picture.width) // 2, top))
            left += width + gap
        top += height + gap
    return sheet


def around(
    boxes: Iterable[tuple[float, float, float, float]],
    photo: tuple[int, int],
    *,
    shape: float,
    least: float = 0.35,
) -> tuple[float, float, float, float]:
    """The part of a photo to look at boxes: x1, y1, x2, y2.

    Args:
        boxes: x, y, width, height of what must be seen.
        photo: Width and height of the photo.
        shape: Height over width that the part has where the photo allows it.
        least: Share of the photo's shorter side that it shows at least.
    """
    x, y, widths, heights = np.array(list(boxes), dtype=float).T
    x1, y1, x2, y2 = x.min(), y.min(), (x + widths).max(), (y + heights).max()
    width = max(1.5 * (x2 - x1), 1.5 * (y2 - y1) / shape, least * min(photo))
    sides = min(width, photo[0]), min(width * shape, photo[1])
    starts = [
        min(max((low + high - side) / 2, 0), limit - side)
        for low, high, side, limit in zip((x1, y1), (x2, y2), sides, photo, strict=True)
    ]
    return starts[0], starts[1], starts[0] + sides[0], starts[1] + sides[1]


def jpeg(picture: Image.Image) -> bytes:
    """The content of a JPEG file; colors keep their full resolution, because lines are thin."""
    content = io.BytesIO()
    picture.save(content, format='JPEG', quality=_JPEG_QUALITY, subsampling=0)
    return content.getvalue()


def shorten_to(
    text: str, width: float, font_size: int, *, bold: bool = False
) -> tuple[str, ImageFont.FreeTypeFont]:
    """The text, or its beginning with an ellipsis, at most so many pixels wide; and its font."""
    text = printable(text)
    font = font_for(text, font_size, bold=bold)
    if font.getlength(text) > width:
        while text and font.getlength(f'{text.rstrip()}…') > width:
            text = text[:-1]
        text = f'{text.rstrip()}…'
    return text, font


def font_for(text: str, size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Our font in that size, or an installed one that has more of the letters."""

    def lacking(path: str) -> int:
        return sum(not get_font(path).get_char_index(ord(letter)) for letter in text)

    return _font(min(_font_files(bold, *installed_fonts()), key=lacking), size)


@cache
def _font_files(bold: bool, *families: str) -> list[str]:
    weight = 'bold' if bold else 'normal'
    return [findfont(FontProperties(family=name, weight=weight)) for name in families]


_font = cache(ImageFont.truetype)


@dataclass(frozen=True)
class _Plate:
    """A label before it has a place: its text, font, size, and where the text begins in it."""

    text: str
    font: ImageFont.FreeTypeFont
    size: tuple[int, int]
    start: tuple[float, float]


def _plate(text: str, font_size: int, picture: tuple[int, int]) -> _Plate:
    pad = max(2, font_size // 6)
    text, font = shorten_to(text, picture[0] - 2 * pad, font_size)
    # One height for all labels: from the top of an accented capital to the foot of a comma.
    ascent, descent = font.getmetrics()
    left, _, right, _ = font.getbbox(text, anchor='ls')
    size = min(right - left + 2 * pad, picture[0]), min(ascent + descent + 1, picture[1])
    return _Plate(text, font, (round(size[0]), size[1]), (pad - left, ascent))


def _write_plate(
    canvas: ImageDraw.ImageDraw, plate: _Plate, place: tuple[int, int], color: Color
) -> None:
    (x, y), (width, height), (right, down) = place, plate.size, plate.start
    canvas.rectangle((x, y, x + width - 1, y + height - 1), fill=color)
    look = {'fill': ink_on(tuple(part / 255 for part in color)), 'font': plate.font}
    canvas.text((x + right, y + down), plate.text, anchor='ls', **look)


def _outline(canvas: ImageDraw.ImageDraw, box: Sequence[int], mark: Mark, line: int) -> None:
    x1, y1, x2, y2 = box
    line += mark.dashed  # as there is less of it
    canvas.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline=_CASING, width=line + 2)
    if not mark.dashed:
        canvas.rectangle(box, outline=mark.color, width=line)
        return
    dash, inset = 4 * line, line - 1
    for start in range(x1, x2 + 1, 3 * dash // 2):
        end = min(start + dash - 1, x2)
        canvas.rectangle((start, y1, end, y1 + inset), fill=mark.color)
        canvas.rectangle((start, y2 - inset, end, y2), fill=mark.color)
    for start in range(y1, y2 + 1, 3 * dash // 2):
        end = min(start + dash - 1, y2)
        canvas.rectangle((x1, start, x1 + inset, end), fill=mark.color)
        canvas.rectangle((x2 - inset, start, x2, end), fill=mark.color)


def _tie(
    canvas: ImageDraw.ImageDraw, box: Sequence[float], plate: Sequence[int], color: Color
) -> None:
    """A line between a box and a label that does not touch it."""
    x, y, width, height = plate
    ends = []
    for low, high, first, last in ((x, x + width, box[0], box[2]), (y, y + height, box[1], box[3])):
        gap = max(first - high, low - last)
        if gap <= 0:  # side by side: between the middles of what they share
            middle = (max(low, first) + min(high, last)) / 2
            ends.append((middle, middle, gap))
        else:
            ends.append((high, first, gap) if first > high else (low, last, gap))
    if max(gap for *_, gap in ends) > 3:
        (x1, x2, _), (y1, y2, _) = ends
        canvas.line((x1, y1, x2, y2), fill=_CASING, width=3)
        canvas.line((x1, y1, x2, y2), fill=color, width=1)


def _corners(
    box: Sequence[float],
    region: Sequence[float],
    scale: tuple[float, float],
    size: tuple[int, int],
) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 of a box in the picture, in whole pixels.

    One that ends where the picture ends keeps its right and lower side in sight. Sides that are
    far outside come near: PIL takes no huge numbers.
    """
    ends = []
    for axis in (0, 1):
        first = scale[axis] * (box[axis] - region[axis])
        last = first + scale[axis] * box[axis + 2]
        first = round(min(max(first, -_OUTSIDE), size[axis] + _OUTSIDE))
        ends.append((first, max(first, round(min(last, size[axis] - 1)))))
    (x1, x2), (y1, y2) = ends
    return x1, y1, x2, y2


def _area(corners: Sequence[float]) -> float:
    return (corners[2] - corners[0]) * (corners[3] - corners[1])
