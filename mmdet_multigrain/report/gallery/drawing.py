"""How chosen photos and cases are drawn: side by side, alone, and in a cell of a contact sheet.

Solid is a detection, dashed is ground truth, red and dashed is what was missed; otherwise the
color tells the superclass. The choice belongs in `galleries`, lines and letters in
`pictures`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from matplotlib.colors import to_rgb
from PIL import Image

from mmdet_multigrain.evaluation import GroundTruth
from mmdet_multigrain.evaluation.functional.error_analysis import Kind
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.visualization.pictures import (
    MISSED,
    Color,
    Mark,
    around,
    captioned,
    draw_marks,
    fit,
    on_sheet,
)
from mmdet_multigrain.visualization.style import superclass_colors

from .cases import Case

CELL = (300, 360)  # width and height of a photo on a contact sheet, in pixels
SHEET_COLUMNS = 4
GAP = 8
MOST_COLUMNS = 4  # side by side
Area = tuple[float, float, float, float]  # left, top, width, height as shares of a picture
_TALLEST = 2  # a picture is at most so many times as high as wide


@dataclass(frozen=True)
class Look:
    """Names and colors of classes."""

    taxonomy: Taxonomy

    def name(self, label: int) -> str:
        """Of a class."""
        return self.taxonomy.classes[label]

    def color(self, label: int) -> Color:
        """Of the superclass of a class."""
        return self._colors[label]

    @cached_property
    def _colors(self) -> list[Color]:
        by_name = superclass_colors(self.taxonomy)
        return [
            rgb(by_name[self.taxonomy.superclass_of(label)])
            for label in range(self.taxonomy.num_classes)
        ]


def rgb(color: str) -> Color:
    """Red, green, blue from 0 to 255."""
    red, green, blue = (round(255 * part) for part in to_rgb(color))
    return red, green, blue


def words(case: Case, look: Look) -> str:
    """The label of a case: class and score, the true class in brackets where it is another."""
    if case.kind == Kind.MISSED:
        return f'missed: {look.name(case.true)}'
    true = f' ({look.name(case.true)})' if case.is_confused else ''
    return f'{look.name(case.predicted)}{true} {case.score:.2f}'


def marks_of(case: Case, look: Look) -> list[Mark]:
    """A case alone: the detection with its label, and the ground truth that it is about."""
    if case.kind == Kind.MISSED:
        return [Mark(case.box, words(case, look), MISSED, dashed=True)]
    marks = [Mark(case.box, words(case, look), look.color(case.predicted))]
    if case.true_box is not None:
        marks.append(Mark(case.true_box, '', look.color(case.true), dashed=True))
    return marks


def draw_case(
    photo: Image.Image, case: Case, look: Look, *, width: int, caption: Sequence[str]
) -> Image.Image:
    """The whole photo with one case."""
    return captioned(draw_marks(photo, marks_of(case, look), size=_size(photo, width)), caption)


def draw_cell(photo: Image.Image, case: Case, look: Look, *, caption: Sequence[str]) -> Image.Image:
    """The part of the photo around one case, in the size of a contact sheet's cell."""
    boxes = [box for box in (case.box, case.true_box) if box is not None]
    region = around(boxes, photo.size, shape=CELL[1] / CELL[0])
    size = fit((region[2] - region[0], region[3] - region[1]), CELL)
    part = draw_marks(photo, marks_of(case, look), size=size, region=region)
    cell = Image.new('RGB', CELL, 'white')
    cell.paste(part, ((CELL[0] - size[0]) // 2, (CELL[1] - size[1]) // 2))
    return captioned(cell, caption)


def contact_sheet(
    cells: Sequence[Image.Image], *, caption: Sequence[str]
) -> tuple[Image.Image, list[Area]]:
    """Cells in rows below a heading, and where each is on the sheet."""
    rows = on_sheet(cells, columns=SHEET_COLUMNS, gap=GAP)
    sheet = captioned(rows, caption)
    width, height = cells[0].width + GAP, cells[0].height + GAP
    top = sheet.height - rows.height + GAP
    return sheet, [
        (
            (GAP + number % SHEET_COLUMNS * width) / sheet.width,
            (top + number // SHEET_COLUMNS * height) / sheet.height,
            cells[0].width / sheet.width,
            cells[0].height / sheet.height,
        )
        for number in range(len(cells))
    ]


def side_by_side(
    photo: Image.Image,
    truth: Sequence[Mark],
    runs: Mapping[str, Sequence[Case]],
    look: Look,
    *,
    width: int,
) -> Image.Image:
    """The photo with its ground truth, then under each run with what it found and missed.

    Args:
        photo: The photo.
        truth: Its ground truth, see `truth_marks`.
        runs: The cases of this photo by name of the run.
        look: Names and colors.
        width: Of each column in pixels.
    """
    size = _size(photo, width)
    columns = [
        captioned(
            draw_marks(photo, truth, size=size),
            ['ground truth', f'{len(truth)} box{"es" * (len(truth) != 1)}'],
        )
    ]
    for name, cases in runs.items():
        marks = [
            Mark(case.box, _judged(case, look), MISSED, dashed=True)
            if case.kind == Kind.MISSED
            else Mark(case.box, _judged(case, look), look.color(case.predicted))
            for case in cases
        ]
        columns.append(captioned(draw_marks(photo, marks, size=size), [name, tally(cases)]))
    rows = math.ceil(len(columns) / MOST_COLUMNS)
    return on_sheet(columns, columns=math.ceil(len(columns) / rows), gap=GAP)


def truth_marks(
    ground_truth: GroundTruth,
    image: int,
    look: Look,
    *,
    labels: Collection[int],
) -> list[Mark]:
    """The ground truth of a photo that is of these classes."""
    return [
        Mark(
            tuple(ground_truth.boxes[number].tolist()),
            look.name(label) + ' (crowd)' * bool(ground_truth.crowd[number]),
            look.color(label),
        )
        for number in (ground_truth.images == image).nonzero()[0].tolist()
        if (label := int(ground_truth.labels[number])) in labels
    ]


def tally(cases: Sequence[Case]) -> str:
    """How many are right, wrong and missed, in words."""
    counts = Counter(
        'right' if case.kind == Kind.HIT else 'missed' if case.kind == Kind.MISSED else 'wrong'
        for case in cases
    )
    return ', '.join(f'{counts[name]} {name}' for name in ('right', 'wrong', 'missed'))


def _judged(case: Case, look: Look) -> str:
    """The label of a case among others: a cross before what is wrong."""
    return ('' if case.kind in (Kind.HIT, Kind.MISSED) else '× ') + words(case, look)


def _size(photo: Image.Image, width: int) -> tuple[int, int]:
    return fit(photo.size, (width, _TALLEST * width))
