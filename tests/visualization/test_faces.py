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
