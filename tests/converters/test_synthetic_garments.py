"""The garments' shapes: what a class is told apart by is there, whatever the random numbers."""

import cv2
import numpy as np
import pytest

from mmdet_multigrain.converters.synthetic_garments import (
    GARMENT_TYPES,
    Pose,
    along,
    limb,
    make_body,
    make_garment,
    mirrored,
)
from mmdet_multigrain.taxonomy import Taxonomy

POSE = Pose(arms=((0.6, 0.1), (0.6, 0.1)), legs=(0.08, 0.08))
SCALE, ORIGIN = 100, np.array([150, 60])


def names(**wanted):
    return [
        name
        for name, kind in GARMENT_TYPES.items()
        if all(getattr(kind, key) == value for key, value in wanted.items())
    ]


def mask_of(name, seed, part='all'):
    garment = make_garment(name, POSE, np.random.default_rng(seed))
    polygons = garment.inner if part == 'inner' else (garment.fabric + garment.inner + garment.trim)
    mask = np.zeros((340, 300), np.uint8)
    for polygon in polygons:
        cv2.fillPoly(mask, [np.round(polygon * SCALE + ORIGIN).astype(np.int32)], 1)
    return mask


def filled(mask, x, y):
    """Whether a point of the body frame is covered."""
    column, row = np.round(np.array([x, y]) * SCALE + ORIGIN).astype(int)
    return bool(mask[row, column])


each_seed = pytest.mark.parametrize('seed', range(8))


def test_silhouettes_are_the_superclasses():
    taxonomy = Taxonomy.load('deepfashion2')
    assert tuple(GARMENT_TYPES) == taxonomy.classes
    superclass = {'top': 'top', 'bottom': 'bottom', 'dress': 'one-piece dress'}
    for name, kind in GARMENT_TYPES.items():
        assert superclass[kind.silhouette] == taxonomy.superclass_of(taxonomy.find(name))
    assert len(set(GARMENT_TYPES.values())) == 13  # no two classes are drawn alike


@each_seed
def test_sleeves_reach_elbow_or_wrist(seed):
    shoulder, elbow, wrist = POSE.arm(1)
    for name in names(detail='short') + names(detail='long') + names(detail='none'):
        mask = mask_of(name, seed)
        detail = GARMENT_TYPES[name].detail
        assert filled(mask, *(0.7 * shoulder + 0.3 * elbow)) == (detail != 'none')
        assert filled(mask, *(0.2 * elbow + 0.8 * wrist)) == (detail == 'long')


@each_seed
def test_straps_leave_the_shoulders_bare(seed):
    for name in names(detail='straps') + names(detail='none'):
        mask = mask_of(name, seed)
        bare = GARMENT_TYPES[name].detail == 'straps'
        assert filled(mask, 0.25, 0.12) != bare
        assert filled(mask, 0.185, 0.15)  # strap or shoulder


@each_seed
def test_only_outwear_is_open_in_front(seed):
    for name in GARMENT_TYPES:
        is_open = mask_of(name, seed, 'inner').any()
        assert is_open == GARMENT_TYPES[name].open_front
    for name in names(open_front=True):
        inner = mask_of(name, seed, 'inner')
        assert all(filled(inner, 0, y) for y in (0.15, 0.5, 0.9))


@each_seed
def test_bottoms_and_dresses(seed):
    for name in names(silhouette='top'):
        assert not filled(mask_of(name, seed), 0, 1.42)
    for name in names(silhouette='bottom'):
        assert not filled(mask_of(name, seed), 0, 0.5)
        assert filled(mask_of(name, seed), 0, 0.9)
    for name in [*names(silhouette='dress'), 'skirt']:
        assert filled(mask_of(name, seed), 0, 1.3)  # one piece: no gap between the legs
    for name in ('shorts', 'trousers'):
        assert not filled(mask_of(name, seed), 0, 1.3)
        assert filled(mask_of(name, seed), 0.2, 1.2)
    _, knee, ankle = POSE.leg(1)
    low = 0.4 * knee + 0.6 * ankle
    assert filled(mask_of('trousers', seed), *low) and not filled(mask_of('shorts', seed), *low)


def test_hem_of_a_top_worn_with_a_bottom():
    for name in names(silhouette='top'):
        garment = make_garment(name, POSE, np.random.default_rng(0), hem=0.8)
        torso = garment.fabric[0]
        assert torso[:, 1].max() <= 0.8


def test_helpers():
    path = np.array([[0.0, 0], [0, 1], [0, 3]])
    assert along(path, 1.0).tolist() == path.tolist()
    assert along(path, 0.5).tolist() == [[0, 0], [0, 1], [0, 1.5]]
    assert np.allclose(along(path, 0.2), [[0, 0], [0, 0.6]])
    strip = limb(np.array([[0.0, 0], [0, 1]]), (0.2, 0.1))
    assert sorted(map(tuple, strip)) == [(-0.2, 0), (-0.1, 1), (0.1, 1), (0.2, 0)]
    assert mirrored([(1, 0), (2, 3)]).tolist() == [[1, 0], [2, 3], [-2, 3], [-1, 0]]


def test_body_halves():
    assert not make_body(POSE, upper=False, lower=True)['hair']
    assert not make_body(POSE, upper=True, lower=False)['shoes']
    whole = make_body(POSE, upper=True, lower=True)
    assert whole['hair'] and len(whole['shoes']) == 2
