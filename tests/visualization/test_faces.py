"""Blurring what OpenCV takes for faces."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from mmdet_multigrain.utils.errors import ReportError
from mmdet_multigrain.visualization import faces
from mmdet_multigrain.visualization.faces import blur, find_faces
from mmdet_multigrain.visualization.pictures import read_photo


@pytest.fixture
def noise():
    pixels = np.random.default_rng(0).integers(0, 255, (100, 120, 3), np.uint8)
    return Image.fromarray(pixels)


def test_only_the_inside_is_blurred(noise):
    before, after = np.asarray(noise).copy(), np.asarray(blur(noise, [(20, 30, 40, 50)]))
    changed = (before != after).any(axis=-1)
    rows, columns = np.nonzero(changed)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (30, 79, 20, 59)
    assert not changed[30:34, 20:24].any()  # an ellipse
    assert after[50:60, 35:45].std() < 0.3 * before[50:60, 35:45].std()
    assert (np.asarray(noise) == before).all()


def test_nothing_to_blur(noise):
    assert blur(noise, []).tobytes() == noise.tobytes()
    assert find_faces(Image.new('RGB', (50, 50))) == []
    assert blur(noise, [(119, 99, 1, 1)]).size == noise.size


def test_without_the_detectors(monkeypatch):
    monkeypatch.setattr(cv2, 'data', None)
    faces._cascade.cache_clear()
    with pytest.raises(ReportError, match='without its face detectors.*leave --blur-faces out'):
        find_faces(Image.new('RGB', (50, 50)))


@pytest.mark.parametrize(
    ('size', 'searched', 'expected'),
    [
        # A quarter wider at each side, within the photo; the last ends 40 pixels from the right.
        ((400, 300), (400, 300), [(0, 60, 158, 180), (79, 0, 30, 13), (322, 5, 46, 30)]),
        ((1800, 900), (900, 450), [(0, 120, 316, 360), (158, 0, 60, 26), (1645, 10, 90, 60)]),
    ],
)
def test_faces_from_the_front_and_from_both_sides(monkeypatch, size, searched, expected):
    seen = []

    def search(gray, name):
        seen.append((gray.shape[::-1], name, int(gray[0, 0]), int(gray[0, -1])))
        found = {0: [(8, 90, 120, 120)], 1: [(84, -2, 20, 12)], 2: [(40, 10, 30, 20)]}
        return found[len(seen) - 1]

    monkeypatch.setattr(faces, '_search', search)
    photo = Image.new('L', size, 0)
    photo.paste(200, (size[0] // 2, 0, *size))
    found = find_faces(photo.convert('RGB'))
    assert [one[:2] for one in seen] == [(searched, faces._FRONT)] + [
        (searched, faces._SIDEWAYS)
    ] * 2
    assert [one[2] < one[3] for one in seen] == [True, True, False]  # the third is mirrored
    assert found == expected


def test_how_faces_are_searched(monkeypatch):
    class Cascade:
        def detectMultiScale(self, gray, **options):
            assert options == dict(scaleFactor=1.1, minNeighbors=3, minSize=(24, 24))
            return np.array([[1, 2, 3, 4]])

    monkeypatch.setattr(faces, '_cascade', lambda name: Cascade())
    assert faces._search(np.zeros((9, 9)), 'any') == [(1, 2, 3, 4)]


def test_faces_stay_in_the_photo():
    assert faces._widened((0, 0, 40, 40), 1, (45, 48)) == (0, 0, 45, 48)
    assert faces._widened((20, 20, 40, 40), 0.5, (999, 999)) == (20, 20, 120, 120)


def test_faces_of_real_photos(ccp):
    """Most of those portrayed; the whole of what was seen is written in faces.py."""
    names = sorted(
        image['file_name'] for image in json.loads((ccp / 'val.json').read_bytes())['images']
    )[:4]
    found = 0
    for name in names:
        photo = read_photo(ccp / 'photos' / name)
        boxes = find_faces(photo)
        for x, y, width, height in boxes:
            assert 0 <= x and 0 <= y and x + width <= photo.width and y + height <= photo.height
        # Their heads are in the upper third, near the middle.
        found += any(
            y + height / 2 < photo.height / 3
            and abs(x + width / 2 - photo.width / 2) < photo.width / 4
            for x, y, width, height in boxes
        )
    assert found >= 3


def test_a_large_photo_is_searched_reduced(ccp):
    name = json.loads((ccp / 'val.json').read_bytes())['images'][0]['file_name']
    photo = read_photo(ccp / 'photos' / name)
    large = photo.resize((3 * photo.width, 3 * photo.height))
    (x, y, *_), *_ = sorted(find_faces(photo), key=lambda face: face[1])
    assert any(
        abs(x - other[0] / 3) < 30 and abs(y - other[1] / 3) < 30 for other in find_faces(large)
    )
