"""Areas that are those of their objects, and areas of something else."""

import numpy as np
import pytest

from mmdet_multigrain.coco import areas as module
from mmdet_multigrain.coco.annotations import AnnotationFile
from mmdet_multigrain.coco.areas import judge_areas
from mmdet_multigrain.coco.boxes import box_columns
from mmdet_multigrain.coco.columns import CocoColumns
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.files import dump_json

BOXES = [(10, 10, 40, 20), (60, 5, 30, 30), (5, 40, 50, 35), (70, 50, 20, 28), (20, 2, 11, 9)]


def rectangle(x, y, width, height):
    return [[x, y, x + width, y, x + width, y + height, x, y + height]]


def diamond(x, y, width, height):
    w, h = width / 2, height / 2
    return [[x + w, y, x + width, y + h, x + w, y + height, x, y + h]]


def ellipse(x, y, width, height):
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    points = np.stack([x + width * (1 + np.cos(angles)) / 2, y + height * (1 + np.sin(angles)) / 2])
    return [points.T.ravel().tolist()]


def content(area_of, mask=None, boxes=BOXES):
    return {
        'images': [{'id': 1, 'file_name': 'a.jpg', 'width': 100, 'height': 80}],
        'categories': [{'id': 1, 'name': 'vest'}],
        'annotations': [
            {
                'id': number,
                'image_id': 1,
                'category_id': 1,
                'iscrowd': 0,
                'bbox': list(box),
                'area': area_of(box[2] * box[3]),
                **({'segmentation': mask(*box)} if mask else {}),
            }
            for number, box in enumerate(boxes, start=1)
        ],
    }


@pytest.mark.parametrize('mask', [None, rectangle, diamond, ellipse])
@pytest.mark.parametrize('share', [1.0, 1.0001])
def test_right_areas(mask, share):
    judged = judge_areas(CocoColumns(content(lambda area: share * area, mask)))
    assert not judged.are_wrong.any()
    assert judged.areas == pytest.approx([share * w * h for *_, w, h in BOXES])


@pytest.mark.parametrize(('mask', 'share'), [(diamond, 0.5), (ellipse, 0.784), (None, 0.7854)])
def test_areas_of_masks_are_right(mask, share):
    assert not judge_areas(CocoColumns(content(lambda area: share * area, mask))).are_wrong.any()


@pytest.mark.parametrize('mask', [None, rectangle, diamond])
@pytest.mark.parametrize(
    'area_of',
    [
        lambda area: 8000,  # of the image
        lambda area: 16 * area,
        lambda area: area / 16,
        lambda area: 0.25 * area,
        lambda area: 2.25 * area,
        lambda area: 1.44 * area,
        lambda area: area / 8000,
        lambda area: 1,
    ],
)
def test_areas_of_something_else(mask, area_of):
    columns = CocoColumns(content(area_of, mask))
    judged = judge_areas(columns)
    assert judged.are_wrong.all()
    share = 0.5 if mask is diamond else 1
    assert judged.areas == pytest.approx([share * w * h for *_, w, h in BOXES])
    assert judged.are_told.all() == (mask is not None or area_of(1) == 8000)


def test_few_boxes_tell_no_scale():
    few = content(lambda area: 0.25 * area, boxes=BOXES[:4])
    assert not judge_areas(CocoColumns(few)).are_wrong.any()
    mixed = content(lambda area: 0.25 * area)
    mixed['annotations'][0]['area'] *= 3
    assert not judge_areas(CocoColumns(mixed)).are_wrong.any()


def test_an_object_as_large_as_its_image():
    large = content(lambda area: 8000, boxes=[(1, 1, 98, 78), (0, 0, 90, 70)])
    assert judge_areas(CocoColumns(large)).are_wrong.tolist() == [False, True]


def test_areas_that_are_not_known_are_those_of_the_box():
    data = content(lambda area: None, diamond)
    data['annotations'][1]['area'] = -1
    data['annotations'][2]['bbox'] = None
    judged = judge_areas(CocoColumns(data))
    assert not judged.are_wrong.any() and judged.areas[:2].tolist() == [800, 900]
    assert np.isnan(judged.areas[2])


@pytest.mark.parametrize('place', [0, 7])
def test_all_masks_are_measured_if_one_of_a_sample_is_wrong(monkeypatch, place):
    """Thin masks are not odd; an area that only its mask contradicts is found from the sample on."""
    monkeypatch.setattr(module, 'SAMPLE', 4)
    measured = []
    monkeypatch.setattr(
        module,
        'mask_area',
        lambda mask, real=module.mask_area: measured.append(mask) or real(mask),
    )
    boxes = [(10 + n, 10, 40, 20 + n) for n in range(12)]
    data = content(lambda area: area, rectangle, boxes)
    data['annotations'][1]['area'] = 8  # the box says so
    data['annotations'][place]['area'] /= 4  # only the mask does
    judged = judge_areas(CocoColumns(data))
    found = np.flatnonzero(judged.are_wrong).tolist()
    assert found == ([0, 1] if place == 0 else [1])
    assert len(measured) == (4 + 12 if place == 0 else 4 + 1)


def test_statistics_and_evaluation_take_the_right_area(tmp_path):
    data = content(lambda area: 8000, diamond)
    expected = [w * h / 2 for *_, w, h in BOXES]
    taxonomy = Taxonomy('one', ['vest'])
    columns = box_columns(data, taxonomy, 'x.json')
    assert columns.areas == pytest.approx(expected) and columns.problems.counts.total() == 5
    path = tmp_path / 'a.json'
    path.write_bytes(dump_json(data))
    file = AnnotationFile(path, taxonomy=taxonomy)
    assert [item['area'] for item in file.dataset['annotations']] == pytest.approx(expected)
    assert file.notes == [
        f"{path}: 'area' of 5 annotations is not that of their object; took that of the mask, or of "
        'the box'
    ]


@pytest.mark.parametrize(
    ('box', 'mask', 'area', 'is_wrong'),
    [
        # Of 800 in the box alone.
        ((10, 10, 40, 20), None, 1201, False),
        ((10, 10, 40, 20), None, 1201.5, True),
        ((10, 10, 40, 20), None, 16, False),
        ((10, 10, 40, 20), None, 15.9, True),
        # Of 800 in box and mask; of 400 in the mask.
        ((10, 10, 40, 20), rectangle, 1201, False),
        ((10, 10, 40, 20), rectangle, 1201.5, True),
        ((10, 10, 40, 20), rectangle, 398, False),
        ((10, 10, 40, 20), rectangle, 397.9, True),
        ((10, 10, 40, 20), diamond, 1201, False),
        ((10, 10, 40, 20), diamond, 198, False),
        ((10, 10, 40, 20), diamond, 197.9, True),
        # That of the image, of an object of nine tenths of it.
        ((0, 0, 90, 80), None, 8000, False),
        ((0, 0, 89, 80), None, 8000, True),
        ((0, 0, 89, 80), None, 8000.007, True),
        ((0, 0, 89, 80), None, 8000.009, False),
        ((0, 0, 89, 80), None, 7999.993, True),
    ],
)
def test_how_far_an_area_may_be_off(box, mask, area, is_wrong):
    judged = judge_areas(CocoColumns(content(lambda _: area, mask, [box])))
    assert judged.are_wrong.tolist() == [is_wrong]
    width, height = box[2:]
    own = width * height / (2 if mask is diamond else 1)
    assert judged.areas.tolist() == [own if is_wrong else area]


@pytest.mark.parametrize(
    ('share', 'is_wrong'),
    [(1.09, False), (1.11, True), (0.91, False), (0.89, True), (0.77, False), (0.75, True),
     (0.804, False), (0.82, True)],
)  # fmt: skip
def test_scales_that_all_areas_share(share, is_wrong):
    """Nearly 1 is rounding, and pi / 4 that of ellipses."""
    judged = judge_areas(CocoColumns(content(lambda area: share * area)))
    assert judged.are_wrong.tolist() == [is_wrong] * 5


@pytest.mark.parametrize(('odd', 'found'), [(1, 19), (2, 0)])
def test_nineteen_of_twenty_share_a_scale(odd, found):
    boxes = [(5, 5, 20 + n, 30) for n in range(20)]
    data = content(lambda area: 0.5 * area, boxes=boxes)
    for item in data['annotations'][:odd]:
        item['area'] *= 1.05
    for item in data['annotations'][odd:]:
        item['area'] *= 1.01  # within 2%
    assert judge_areas(CocoColumns(data)).are_wrong.sum() == found
