"""Draws photos and cases: side by side, alone, and as cells of a contact sheet.

Detections have solid outlines, ground truth dashed ones; missed boxes are red and dashed. Other
colors stand for superclasses.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from PIL import Image

from mmdet_multigrain.evaluation import GroundTruth
from mmdet_multigrain.evaluation.functional.error_analysis import Kind
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.visualization import pictures
from mmdet_multigrain.visualization.palette import class_palette
from mmdet_multigrain.visualization.pictures import MISSED, Mark, captioned, draw_marks
from mmdet_multigrain.visualization.style import escaped, readable

from .cases import Case

CELL = (300, 360)  # width and height of a photo on a contact sheet, in pixels
SHEET_COLUMNS = 4
GAP = 8
MOST_COLUMNS = 4  # side by side
Area = tuple[float, float, float, float]  # left, top, width, height as shares of a picture
_TALLEST = 2  # highest ratio of a picture's height to its width


class ClassStyle:
    """Names (as fonts can show them) and colors of classes by label, shades of the superclass's.

    `groups` has the names of their superclasses.
    """

    def __init__(self, taxonomy: Taxonomy) -> None:
        self.names, self.colors = readable(taxonomy.classes), class_palette(taxonomy)
        groups = readable(taxonomy.group_names(0), 'group')
        self.groups = [groups[index] for index in taxonomy.group_index(0)]


def case_label(case: Case, classes: ClassStyle, *, cross: bool = False) -> str:
    """Class and score of a case, and the true class in parentheses if it is another.

    An answer above the class follows an arrow. With `cross`, wrong detections begin with a cross.
    """
    names = classes.names
    if case.kind == Kind.MISSED:
        return f'missed: {names[case.true]}'
    wrong = '× ' if cross and case.kind != Kind.HIT else ''
    true = f' ({names[case.true]})' if case.is_confused else ''
    answer = f' → {escaped(case.answer)}?' if case.answer else ''
    return f'{wrong}{names[case.predicted]}{true} {case.score:.2f}{answer}'


def superclass_label(case: Case, classes: ClassStyle) -> str:
    """Superclass of a case, and the true one in parentheses if it is another."""
    labels = case.predicted, case.true
    names = dict.fromkeys(classes.groups[label] for label in labels if label is not None)
    first, *true = names
    return f'{first} ({true[0]})' if true else first


def case_mark(case: Case, classes: ClassStyle, *, cross: bool = False) -> Mark:
    """The box of a case with its label; arguments as in `case_label`."""
    missed = case.kind == Kind.MISSED
    color = MISSED if missed else classes.colors[case.predicted]
    return Mark(case.box, case_label(case, classes, cross=cross), color, dashed=missed)


def marks_of(case: Case, classes: ClassStyle) -> list[Mark]:
    """A case alone: its box, and the ground truth that a detection is about."""
    marks = [case_mark(case, classes)]
    if case.kind != Kind.MISSED and case.true_box is not None:
        marks.append(Mark(case.true_box, '', classes.colors[case.true], dashed=True))
    return marks


def draw_case(
    photo: Image.Image, case: Case, classes: ClassStyle, *, width: int, caption: Sequence[str]
) -> Image.Image:
    """The whole photo with one case."""
    size = _size(photo, width)
    return captioned(draw_marks(photo, marks_of(case, classes), size=size), caption)


def draw_cell(
    photo: Image.Image, case: Case, classes: ClassStyle, *, caption: Sequence[str]
) -> Image.Image:
    """The part of the photo around one case, as a cell of a contact sheet."""
    boxes = [box for box in (case.box, case.true_box) if box is not None]
    region = pictures.around(boxes, photo.size, shape=CELL[1] / CELL[0])
    size = pictures.fit((region[2] - region[0], region[3] - region[1]), CELL)
    part = draw_marks(photo, marks_of(case, classes), size=size, region=region)
    cell = Image.new('RGB', CELL, 'white')
    cell.paste(part, ((CELL[0] - size[0]) // 2, (CELL[1] - size[1]) // 2))
    return captioned(cell, caption)


def contact_sheet(
    cells: Sequence[Image.Image], *, caption: Sequence[str]
) -> tuple[Image.Image, list[Area]]:
    """Cells in rows below a heading, and where each is on the sheet."""
    rows = pictures.on_sheet(cells, columns=SHEET_COLUMNS, gap=GAP)
    sheet = captioned(rows, caption)
    (width, height), top = cells[0].size, sheet.height - rows.height + GAP
    areas = []
    for number in range(len(cells)):
        row, column = divmod(number, SHEET_COLUMNS)
        corner = GAP + column * (width + GAP), top + row * (height + GAP)
        ends = zip((*corner, width, height), 2 * sheet.size, strict=True)
        areas.append(tuple(pixels / whole for pixels, whole in ends))
    return sheet, areas


def side_by_side(
    photo: Image.Image,
    truth: Sequence[Mark],
    runs: Mapping[str, Sequence[Case]],
    classes: ClassStyle,
    *,
    width: int,
) -> Image.Image:
    """The photo with its ground truth, then once for each run with what it found and missed.

    `width` is that of each column in pixels.
    """
    size = _size(photo, width)
    heading = ['ground truth', f'{len(truth)} box{"es" * (len(truth) != 1)}']
    columns = [captioned(draw_marks(photo, truth, size=size), heading)]
    for name, cases in runs.items():
        marks = [case_mark(case, classes, cross=True) for case in cases]
        columns.append(captioned(draw_marks(photo, marks, size=size), [name, tally(cases)]))
    rows = math.ceil(len(columns) / MOST_COLUMNS)
    return pictures.on_sheet(columns, columns=math.ceil(len(columns) / rows), gap=GAP)


def truth_marks(
    ground_truth: GroundTruth, image: int, classes: ClassStyle, *, labels: Collection[int]
) -> list[Mark]:
    """The ground truth of a photo that is of these classes."""
    return [
        Mark(
            tuple(ground_truth.boxes[number].tolist()),
            classes.names[label] + ' (crowd)' * bool(ground_truth.crowd[number]),
            classes.colors[label],
        )
        for number in (ground_truth.images == image).nonzero()[0].tolist()
        if (label := int(ground_truth.labels[number])) in labels
    ]


def tally(cases: Sequence[Case]) -> str:
    """How many are right, wrong and missed, in words."""
    names = {Kind.HIT: 'right', Kind.MISSED: 'missed'}
    counts = Counter(names.get(case.kind, 'wrong') for case in cases)
    return ', '.join(f'{counts[name]} {name}' for name in ('right', 'wrong', 'missed'))


def _size(photo: Image.Image, width: int) -> tuple[int, int]:
    return pictures.fit(photo.size, (width, _TALLEST * width))
