"""What is said and marked of a case, and how pictures are placed next to each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mmdet_multigrain.evaluation import GroundTruth
from mmdet_multigrain.evaluation.functional.error_analysis import Kind
from mmdet_multigrain.report.gallery import drawing
from mmdet_multigrain.report.gallery.cases import Case
from mmdet_multigrain.report.gallery.drawing import (
    CELL,
    GAP,
    ClassStyle,
    case_label,
    contact_sheet,
    draw_cell,
    marks_of,
    side_by_side,
    superclass_label,
    tally,
    truth_marks,
)
from mmdet_multigrain.visualization.palette import class_palette
from mmdet_multigrain.visualization.pictures import MISSED, Mark

BOX, OTHER = (10.0, 10.0, 20.0, 20.0), (12.0, 12.0, 20.0, 20.0)
CONFUSED = Case(Kind.CLASS_ACROSS, 0, 2, 0, 0.876, 0.7, BOX, OTHER)
BACKGROUND = Case(Kind.BACKGROUND, 0, 3, None, 0.5, None, BOX, None)
LOST = Case(Kind.MISSED, 0, None, 1, None, None, BOX, BOX)
HIT = Case(Kind.HIT, 0, 1, 1, 1.0, 0.9, BOX, OTHER)


@pytest.fixture
def classes(taxonomy):
    return ClassStyle(taxonomy)


@pytest.fixture
def photo():
    return Image.new('RGB', (96, 120), (128, 128, 128))


def test_labels(classes):
    assert [case_label(case, classes) for case in (CONFUSED, BACKGROUND, LOST, HIT)] == [
        'skirt (shirt) 0.88',
        'hat 0.50',
        'missed: vest',
        'vest 1.00',
    ]
    assert [superclass_label(case, classes) for case in (CONFUSED, BACKGROUND, LOST, HIT)] == [
        'bottom (top)',
        'hat',
        'top',
        'top',
    ]
    assert case_label(replace(CONFUSED, answer='bottom'), classes) == 'skirt (shirt) 0.88 → bottom?'


def test_marks(classes, taxonomy):
    colors = class_palette(taxonomy)
    assert marks_of(CONFUSED, classes) == [
        Mark(BOX, 'skirt (shirt) 0.88', colors[2]),
        Mark(OTHER, '', colors[0], dashed=True),
    ]
    assert marks_of(BACKGROUND, classes) == [Mark(BOX, 'hat 0.50', colors[3])]
    assert marks_of(LOST, classes) == [Mark(BOX, 'missed: vest', MISSED, dashed=True)]
    assert len({*colors, MISSED}) == 5


def test_marks_of_the_ground_truth(classes):
    truth = GroundTruth(
        (5, 6),
        np.array([0, 1, 1]),
        np.array([0, 1, 2]),
        np.array([BOX, BOX, OTHER]),
        np.ones(3),
        np.array([False, True, False]),
    )
    assert [mark.text for mark in truth_marks(truth, 1, classes, labels={0, 1, 2})] == [
        'vest (crowd)',
        'skirt',
    ]
    assert [mark.box for mark in truth_marks(truth, 1, classes, labels={0, 2})] == [OTHER]


def test_tally():
    assert tally([HIT, CONFUSED, LOST, HIT, BACKGROUND]) == '2 right, 2 wrong, 1 missed'
    assert tally([]) == '0 right, 0 wrong, 0 missed'


@pytest.mark.parametrize(('runs', 'columns'), [(1, 2), (3, 4), (4, 3), (6, 4)])
def test_columns(photo, classes, runs, columns):
    picture = side_by_side(
        photo, [], {str(n): [HIT, LOST] for n in range(runs)}, classes, width=150
    )
    assert picture.width == columns * (150 + GAP) + GAP


def test_a_sheet_says_where_its_cells_are(photo, classes):
    cells = [
        draw_cell(photo, case, classes, caption=[str(n)])
        for n, case in enumerate([HIT, LOST, CONFUSED, BACKGROUND, HIT])
    ]
    for cell in cells:
        cell.putpixel((0, 0), (1, 2, 3))
    sheet, areas = contact_sheet(cells, caption=['all', '5 of 5'])
    assert {cell.size for cell in cells} == {cells[0].size}
    assert cells[0].width == CELL[0]
    assert len(areas) == 5
    for left, top, width, height in areas:
        corner = round(left * sheet.width), round(top * sheet.height)
        assert sheet.getpixel(corner) == (1, 2, 3)
        assert (round(width * sheet.width), round(height * sheet.height)) == cells[0].size


def test_wrong_detections_have_a_cross_next_to_those_of_other_runs(classes, photo, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        drawing, 'draw_marks', lambda photo, marks, size: drawn.append(marks) or photo
    )
    side_by_side(photo, [], {'run': [BACKGROUND, HIT]}, classes, width=96)
    assert [mark.text for mark in drawn[1]] == ['× hat 0.50', 'vest 1.00']


def test_wrong_detections_have_a_cross(classes):
    labels = [case_label(case, classes, cross=True) for case in (CONFUSED, BACKGROUND, LOST, HIT)]
    assert labels == ['× skirt (shirt) 0.88', '× hat 0.50', 'missed: vest', 'vest 1.00']
