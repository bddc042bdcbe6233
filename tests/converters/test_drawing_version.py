"""The same arguments give the same pictures: shapes and scenes against those of drawing version 2.

Whoever changes a drawing on purpose raises DRAWING_VERSION and writes the values again:
MULTIGRAIN_WRITE_GOLDENS=1 pytest tests/converters/test_drawing_version.py. Pictures are compared by
the mean color of blocks, since versions of OpenCV draw edges a little differently.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmdet_multigrain.converters.synthetic_canvas import (
    MIN_AREA,
    MIN_INSIDE,
    Canvas,
    Item,
    choose_color,
    draw_background,
    draw_pattern,
    finish,
    inside_share,
    tinted,
)
from mmdet_multigrain.converters.synthetic_deepfashion2 import DRAWING_VERSION, SyntheticSpec
from mmdet_multigrain.converters.synthetic_garments import (
    GARMENT_TYPES,
    Pose,
    make_body,
    make_garment,
)
from mmdet_multigrain.converters.synthetic_scene import (
    DIFFICULTIES,
    choose_figure,
    choose_pose,
    choose_rooms,
    place,
    render_scene,
)

GOLDENS = Path(__file__).parents[1] / 'goldens' / 'drawing.json'
POSES = (
    Pose(arms=((0.6, 0.1), (0.4, -0.2)), legs=(0.08, 0.12)),
    Pose(arms=((1.5, 0.3), (0.3, 0.0)), legs=(0.02, 0.15), shoulder=0.4, hip=0.31),
)


def told(points):
    """One number for a list of points that changes with each of them."""
    values = np.asarray(points, float).ravel()
    return round(float(values @ np.cos(np.arange(len(values)))), 4)


def parts(shapes):
    return {name: [told(part) for part in polygons] for name, polygons in shapes.items()}


def garments():
    return {
        f'{name}, {number}, {hem}': parts(
            vars(make_garment(name, pose, np.random.default_rng([number, 7]), hem=hem))
        )
        for name in GARMENT_TYPES
        for number, pose, hem in ((0, POSES[0], None), (1, POSES[1], 0.85), (2, POSES[0], None))
    }


def bodies():
    return {
        f'{number}, {upper}, {lower}': parts(make_body(pose, upper=upper, lower=lower))
        for number, pose in enumerate(POSES)
        for upper, lower in ((True, True), (True, False), (False, True))
    }


def figures():
    """Poses, turns, rooms and places, before anything is painted."""
    found = {}
    for name, difficulty in DIFFICULTIES.items():
        rng = np.random.default_rng(3)
        pose = asdict(choose_pose(rng, difficulty))
        some = [choose_figure(rng, difficulty, None) for _ in range(3)]
        rooms = choose_rooms(some, np.array([300, 200]))
        options = dict(fill_range=(0.5, 1.2), spill=0.3)
        found[name] = dict(
            pose=[told(value) for value in pose.values()],
            names=[figure.names for figure in some],
            worn=[figure.worn for figure in some],
            turns=[told(figure.turn) for figure in some],
            extents=[told(figure.extent()) for figure in some],
            rooms=[room.round(3).tolist() for room in rooms],
            places=[
                told(place(rng, figure, room, **options))
                for figure, room in zip(some, rooms, strict=True)
            ],
        )
    return found


def blocks(image):
    """Mean color of 4 x 4 blocks of a picture, whole numbers."""
    return np.round(cv2.resize(image, (4, 4), interpolation=cv2.INTER_AREA)).astype(int).tolist()


def scenes():
    found = {}
    for name, difficulty in DIFFICULTIES.items():
        for split, index in (*(('train', n) for n in (1, 9, 14, 40, 41, 42)), ('validation', 14)):
            image, annotation = render_scene(
                seed=1, split=split, index=index, size=(96, 120), difficulty=difficulty
            )
            items = {
                key: {**value, 'segmentation': len(value['segmentation']), 'landmarks': None}
                for key, value in annotation.items()
                if key.startswith('item')
            }
            found[f'{name}, {split}, {index}'] = dict(
                source=annotation['source'], items=items, blocks=blocks(image)
            )
    return found


def backgrounds():
    """Walls, patterns and finished pictures of some random numbers."""
    found = {}
    matrix = np.array([[40.0, 5, 60], [-5, 40, 20]])
    for seed in range(8):
        rng = np.random.default_rng(seed)
        image, colors = draw_background(rng, 120, 160, (2, 5), 0.6)
        cloth = np.full((160, 120, 3), (180, 90, 60), np.uint8)
        draw_pattern(cloth, matrix, 40.0, (180, 90, 60), rng)
        small = finish(rng, image, (60, 80), light=0.3, noise=12)
        found[str(seed)] = dict(
            wall=blocks(image),
            colors=[told(color) for color in colors],
            cloth=blocks(cloth),
            small=blocks(small),
            next=round(rng.random(), 6),
        )
    return found


MADE = dict(
    garments=garments, bodies=bodies, figures=figures, scenes=scenes, backgrounds=backgrounds
)


@pytest.fixture(scope='module')
def goldens():
    if os.environ.get('MULTIGRAIN_WRITE_GOLDENS') == '1':
        content = {kind: made() for kind, made in MADE.items()}
        GOLDENS.write_text(json.dumps(content, separators=(',', ':'), indent=None) + '\n')
    return json.loads(GOLDENS.read_text())


@pytest.mark.parametrize('kind', ['garments', 'bodies', 'figures'])
def test_shapes(goldens, kind):
    found = json.loads(json.dumps(MADE[kind]()))
    for name, expected in goldens[kind].items():
        for key, value in expected.items():
            if isinstance(value[0] if value else '', float):
                assert found[name][key] == pytest.approx(value, abs=1e-3), (name, key)
            else:
                assert found[name][key] == value, (name, key)
    assert found.keys() == goldens[kind].keys()


def test_scenes(goldens):
    found = scenes()
    assert DRAWING_VERSION == 2 and found.keys() == goldens['scenes'].keys()
    for name, expected in goldens['scenes'].items():
        assert found[name]['source'] == expected['source']
        assert np.abs(np.subtract(found[name]['blocks'], expected['blocks'])).max() <= 2, name
        items = found[name]['items']
        assert items.keys() == expected['items'].keys()
        for key, item in expected['items'].items():
            box = item.pop('bounding_box'), items[key].pop('bounding_box')
            assert np.abs(np.subtract(*box)).max() <= 1, (name, key)
            assert items[key] == item, (name, key)


def test_walls_and_patterns(goldens):
    found = backgrounds()
    for seed, expected in goldens['backgrounds'].items():
        for key in ('wall', 'cloth', 'small'):
            assert np.abs(np.subtract(found[seed][key], expected[key])).max() <= 2, (seed, key)
        assert found[seed]['colors'] == pytest.approx(expected['colors'], abs=1e-3)
        assert found[seed]['next'] == expected['next']


def test_colors_by_hand():
    assert tinted((100, 200, 50), 0.5) == (50, 100, 25)
    assert tinted((105, 205, 55), 2) == (180, 230, 155)
    assert tinted((100, 200, 50), 1) == (100, 200, 50)
    rng = np.random.default_rng(0)
    far = choose_color(rng, [(0, 0, 0), (255, 255, 255)], 150)
    assert min(np.linalg.norm(far), np.linalg.norm(np.subtract(far, 255))) >= 150
    # None of them is far enough: the farthest of twelve.
    rng, again = np.random.default_rng(1), np.random.default_rng(1)
    best = choose_color(rng, [(128, 128, 128)], 999)
    twelve = [choose_color(again) for _ in range(12)]
    assert best == max(twelve, key=lambda color: np.linalg.norm(np.subtract(color, 128)))
    assert rng.random() == again.random()


def test_shares_of_a_box_inside():
    inside = (
        ((10, 20), (50, 60)),
        ((-10, 20), (10, 40)),
        ((-10, -10), (10, 10)),
        ((200, 0), (300, 9)),
    )
    shares = [inside_share(np.array(extent, float), (80, 100)) for extent in inside]
    assert shares == [1, 0.5, 0.25, 0]


@pytest.mark.parametrize(
    ('rows', 'extent', 'hidden', 'good'),
    [
        (MIN_AREA, ((0, 0), (1, 1)), 0, True),
        (MIN_AREA - 1, ((0, 0), (1, 1)), 0, False),
        (200, ((-11, 0), (9, 1)), 0, True),  # 45% inside
        (200, ((-12, 0), (8, 1)), 0, False),
        (200, ((0, 0), (1, 1)), 100, True),  # half visible
        (200, ((0, 0), (1, 1)), 101, False),
    ],
)
def test_what_an_attempt_needs(rows, extent, hidden, good):
    assert (MIN_AREA, MIN_INSIDE) == (100, 0.45)
    canvas = Canvas(np.zeros((300, 20, 3), np.uint8))

    def paint():
        mask = np.zeros((300, 20), np.uint8)
        mask[:rows, 0] = 255
        canvas.items.append(Item('vest', mask, np.array(extent, float), worn=False))
        canvas.owner[hidden:rows, 0] = len(canvas.items)

    assert canvas.attempt(paint, min_visible=0.5) == good
    assert len(canvas.items) == good and canvas.owner.any() == good


def test_a_set_by_default():
    assert asdict(SyntheticSpec()) == dict(
        num_train=1500, num_val=300, width=96, height=120, difficulty='easy', seed=0
    )


def test_levels_of_difficulty():
    assert {key: [*value.values()] for key, value in LEVELS.items()} == {
        name: [*asdict(value).values()] for name, value in DIFFICULTIES.items()
    }


LEVELS = {
    'easy': dict(
        frequency=0.4, figures=(1.0,), pairs=0.35, worn=0.5, fill=(0.85, 0.98), spill=0.0, crop=0.0,
        rotation=8, lean=0.06, arm_raise=0.8, hem_overlap=0.05, contrast=90, clutter=(0, 4),
        boldness=0.3, occluders=0.1, min_visible=0.7, noise=6, light=0.15,
    ),
    'medium': dict(
        frequency=0.75, figures=(0.5, 0.35, 0.15), pairs=0.5, worn=0.6, fill=(0.5, 0.98), spill=0.15,
        crop=0.15, rotation=15, lean=0.12, arm_raise=1.2, hem_overlap=0.12, contrast=50,
        clutter=(3, 12), boldness=0.6, occluders=0.6, min_visible=0.5, noise=12, light=0.3,
    ),
    'hard': dict(
        frequency=1.0, figures=(0.35, 0.35, 0.2, 0.1), pairs=0.6, worn=0.7, fill=(0.35, 0.98),
        spill=0.35, crop=0.3, rotation=25, lean=0.2, arm_raise=1.8, hem_overlap=0.2, contrast=20,
        clutter=(8, 25), boldness=1.0, occluders=1.5, min_visible=0.35, noise=20, light=0.45,
    ),
}  # fmt: skip
