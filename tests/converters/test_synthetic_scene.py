"""Pictures and annotations: pure in their arguments, boxes true, frequencies as in table 3."""

import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmdet_multigrain.converters.synthetic_canvas import Canvas
from mmdet_multigrain.converters.synthetic_garments import GARMENT_TYPES, Pose, make_garment
from mmdet_multigrain.converters.synthetic_scene import (
    CATEGORY_IDS,
    DIFFICULTIES,
    NUM_LANDMARKS,
    TRAIN_BOXES,
    choose_outfit,
    class_weights,
    describe,
    render_scene,
)
from mmdet_multigrain.taxonomy import Taxonomy

TABLE = Path(__file__).resolve().parents[2] / '..' / 'shared' / 'paper' / 'table3_df2_per_class.csv'
RELEASE_KEYS = {
    'segmentation',
    'scale',
    'viewpoint',
    'zoom_in',
    'landmarks',
    'style',
    'bounding_box',
    'category_id',
    'occlusion',
    'category_name',
}

each_difficulty = pytest.mark.parametrize('difficulty', DIFFICULTIES)


def scene(index=1, *, seed=0, split='train', size=(96, 120), difficulty='easy'):
    return render_scene(
        seed=seed, split=split, index=index, size=size, difficulty=DIFFICULTIES[difficulty]
    )


def items_of(annotation):
    return [value for key, value in annotation.items() if key.startswith('item')]


def test_class_data():
    taxonomy = Taxonomy.load('deepfashion2')
    assert list(CATEGORY_IDS.items()) == [(n, i + 1) for i, n in enumerate(taxonomy.classes)]
    assert sum(TRAIN_BOXES.values()) == 312_186  # the paper's number of training boxes
    assert sum(NUM_LANDMARKS.values()) == 294
    assert set(TRAIN_BOXES) == set(NUM_LANDMARKS) == set(GARMENT_TYPES)


def test_counts_are_those_of_table_3():
    if not TABLE.exists():
        pytest.skip('the tables of the paper are not on this machine')
    taxonomy = Taxonomy.load('deepfashion2')
    with open(TABLE, newline='') as file:
        rows = {
            taxonomy.classes[taxonomy.find(row['category'])]: int(row['train_boxes'])
            for row in csv.DictReader(file)
        }
    assert rows == TRAIN_BOXES


@each_difficulty
def test_pure_in_its_arguments(difficulty):
    image, annotation = scene(5, difficulty=difficulty)
    scene(6, difficulty=difficulty)  # no state is carried over
    again, same = scene(5, difficulty=difficulty)
    assert image.tobytes() == again.tobytes() and annotation == same
    for other in (
        scene(6, difficulty=difficulty),
        scene(5, seed=1, difficulty=difficulty),
        scene(5, split='validation', difficulty=difficulty),
    ):
        assert other[0].tobytes() != image.tobytes()


@each_difficulty
@pytest.mark.parametrize('size', [(64, 64), (96, 120), (150, 91)])
def test_annotations_have_the_form_of_the_release(difficulty, size):
    width, height = size
    for index in range(40, 70):
        image, annotation = scene(index, size=size, difficulty=difficulty)
        assert image.shape == (height, width, 3) and image.dtype == np.uint8
        assert annotation['source'] in ('user', 'shop') and annotation['pair_id'] == index
        items = items_of(annotation)
        assert [f'item{n}' for n in range(1, len(items) + 1)] == list(annotation)[2:]
        assert items
        for item in items:
            assert set(item) == RELEASE_KEYS
            assert item['category_id'] == CATEGORY_IDS[item['category_name']]
            assert len(item['landmarks']) == 3 * NUM_LANDMARKS[item['category_name']]
            assert all(type(v) is int for v in item['bounding_box'])
            x1, y1, x2, y2 = item['bounding_box']
            assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height
            assert all(
                item[key] in (1, 2, 3) for key in ('scale', 'viewpoint', 'zoom_in', 'occlusion')
            )
            points = np.concatenate([np.reshape(p, (-1, 2)) for p in item['segmentation']])
            assert (points.min(0) >= (x1, y1)).all() and (points.max(0) < (x2, y2)).all()


@pytest.mark.parametrize('name', GARMENT_TYPES)
def test_box_is_tight_around_what_was_drawn(name):
    rng = np.random.default_rng(0)
    pose = Pose(arms=((0.6, 0.1), (0.5, 0.3)), legs=(0.1, 0.05))
    garment = make_garment(name, pose, rng)
    canvas = Canvas(np.zeros((320, 256, 3), np.uint8))
    matrix = np.array([[60.0, 9, 120], [-5, 60, 70]])
    canvas.paint_garment(name, garment, matrix, (200, 220, 240), (90, 250, 120), rng, worn=False)
    drawn = cv2.resize(canvas.image, (128, 160), interpolation=cv2.INTER_AREA).max(2) > 0
    columns, rows = np.flatnonzero(drawn.any(0)), np.flatnonzero(drawn.any(1))
    extent = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    box = describe(canvas, 0)['bounding_box']
    assert np.abs(np.subtract(box, extent)).max() <= 1  # a pixel covered by less than half


def test_box_ignores_occluders_and_is_cut_at_the_border():
    rng = np.random.default_rng(0)
    pose = Pose(arms=((0.6, 0.1), (0.5, 0.3)), legs=(0.1, 0.05))
    canvas = Canvas(np.zeros((320, 256, 3), np.uint8))
    matrix = np.array([[120.0, 0, 128], [0, 120, 70]])
    canvas.paint_garment(
        'trousers',
        make_garment('trousers', pose, rng),
        matrix,
        (9, 9, 9),
        (0, 0, 0),
        rng,
        worn=True,
    )
    before = describe(canvas, 0)
    assert before['bounding_box'][3] == 160 and before['zoom_in'] == 2
    assert before['occlusion'] == 1 and before['viewpoint'] == 2
    canvas.paint_shapes([np.array([[0, 100], [256, 100], [256, 260], [0, 260]])], (255, 0, 0))
    after = describe(canvas, 0)
    assert after['occlusion'] == 3
    assert {k: v for k, v in after.items() if k != 'occlusion'} == {
        k: v for k, v in before.items() if k != 'occlusion'
    }


def test_attempt_takes_back_what_hides_too_much():
    rng = np.random.default_rng(0)
    pose = Pose(arms=((0.6, 0.1), (0.5, 0.3)), legs=(0.1, 0.05))
    canvas = Canvas(np.zeros((320, 256, 3), np.uint8))
    matrix = np.array([[60.0, 0, 120], [0, 60, 70]])

    def paint():
        canvas.paint_garment(
            'vest', make_garment('vest', pose, rng), matrix, (200, 9, 9), (0, 0, 0), rng, worn=False
        )

    def cover():
        canvas.paint_shapes([np.array([[0, 0], [256, 0], [256, 320], [0, 320]])], (0, 0, 255))

    assert canvas.attempt(paint, min_visible=0.5) and len(canvas.items) == 1
    before = canvas.image.copy()
    assert not canvas.attempt(cover, min_visible=0.5)
    assert not canvas.attempt(paint, min_visible=0.5)  # hides the first one
    assert len(canvas.items) == 1 and canvas.visible(0) == 1
    assert (canvas.image == before).all()


@each_difficulty
def test_every_class_leads_one_of_the_first_pictures(difficulty):
    for split, rounds in (('train', 3), ('validation', 1)):
        for index in range(1, 13 * rounds + 1):
            _, annotation = scene(index, split=split, size=(64, 80), difficulty=difficulty)
            lead = list(TRAIN_BOXES)[(index - 1) % 13]
            assert lead in [item['category_name'] for item in items_of(annotation)]


@each_difficulty
def test_class_frequencies_follow_table_3(difficulty):
    knobs = DIFFICULTIES[difficulty]
    rng = np.random.default_rng(0)
    counts = Counter(name for _ in range(4000) for name in choose_outfit(rng, knobs, None))
    weights = class_weights(knobs, list(TRAIN_BOXES))
    expected = counts.total() * weights / weights.sum()
    got = np.array([counts[name] for name in TRAIN_BOXES])
    assert (np.abs(got - expected) <= 4.5 * np.sqrt(expected) + 1).all()
    # The long tail: 71,645 to 543 boxes in table 3, to the power 0.4, 0.75 and 1.
    imbalance = {'easy': 7.05, 'medium': 38.93, 'hard': 131.94}[difficulty]
    assert expected.max() / expected.min() == pytest.approx(imbalance, rel=1e-3)


@each_difficulty
def test_outfits_are_a_dress_a_top_a_bottom_or_a_bottom_under_a_top(difficulty):
    rng = np.random.default_rng(1)
    outfits = Counter(
        tuple(
            GARMENT_TYPES[name].silhouette
            for name in choose_outfit(rng, DIFFICULTIES[difficulty], None)
        )
        for _ in range(300)
    )
    assert set(outfits) == {('dress',), ('top',), ('bottom',), ('bottom', 'top')}
    for lead in GARMENT_TYPES:
        assert lead in choose_outfit(rng, DIFFICULTIES[difficulty], lead)


def test_difficulties_differ_as_they_say():
    found = {}
    for name in DIFFICULTIES:
        items = [
            item
            for index in range(100, 180)
            for item in items_of(scene(index, size=(64, 80), difficulty=name)[1])
        ]
        found[name] = (
            len(items),
            sum(item['occlusion'] > 1 for item in items) / len(items),
            sum(item['zoom_in'] > 1 for item in items) / len(items),
        )
    for easier, harder in (('easy', 'medium'), ('medium', 'hard')):
        assert all(a < b for a, b in zip(found[easier], found[harder], strict=True))


def test_colors_carry_no_class():
    plain = replace(DIFFICULTIES['easy'], figures=(1.0,), pairs=0.0, worn=0.0, occluders=0.0)
    hues = {}
    for lead, offset in (('vest', 4), ('skirt', 8)):
        hues[lead] = []
        for seed in range(30):
            image, annotation = render_scene(
                seed=seed, split='train', index=1 + offset, size=(64, 80), difficulty=plain
            )
            x1, y1, x2, y2 = annotation['item1']['bounding_box']
            assert annotation['item1']['category_name'] == lead
            middle = image[(y1 + y2) // 2, (x1 + x2) // 2]
            hues[lead].append(cv2.cvtColor(middle[None, None], cv2.COLOR_BGR2HSV)[0, 0, 0])
    for values in hues.values():  # hues of either class are all round the circle
        assert len(np.unique(np.array(values) // 30)) == 6
