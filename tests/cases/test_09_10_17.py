"""Shared cases: boxes that miss their objects are named, and the advice helps."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.tools.conftest import call

CASES = Path(__file__).parents[3] / 'shared' / 'cases'
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason='no ../shared/cases')
COLORS = {1: (40, 40, 220), 2: (40, 220, 40), 3: (220, 40, 40), 4: (40, 220, 220)}


def check(folder, photos):
    return call(
        'check_dataset', folder / 'train.json', '--images', photos, '--examples', 99, '--workers', 1
    ).out


def hits(folder, photos):
    """Boxes on their object as OpenCV reads the photos, most of it: others hide some parts."""
    content = json.loads((folder / 'train.json').read_text())
    names = {image['id']: image['file_name'] for image in content['images']}
    count = 0
    for item in content['annotations']:
        x, y, w, h = map(int, item['bbox'])
        image = cv2.imread(str(photos / names[item['image_id']]))[y : y + h, x : x + w]
        color = np.median(image.reshape(-1, 3), 0) if image.size else np.zeros(3)
        count += (np.abs(color - COLORS[item['category_id']]) < 60).all()
    return count


@pytest.mark.parametrize('kind', ['exif180', 'exif_mix', 'exif_square'])
def test_09_turned_photos_are_named_and_the_advice_helps(tmp_path, kind):
    folder = CASES / '09_exif_180' / kind
    out = check(folder, folder / 'photos')
    assert out.count('; turned: ') == 12 and 'verdict: clean' not in out
    assert hits(folder, folder / 'photos') == 0
    assert 'remove the orientation tag' in out.replace('\n                      ', ' ')
    for path in (folder / 'photos').iterdir():
        with Image.open(path) as image:
            image.save(tmp_path / path.name, exif=b'', quality=95)
    assert 'verdict: clean' in check(folder, tmp_path)
    assert hits(folder, tmp_path) == 24


def test_10_rotated_boxes_are_named():
    folder = CASES / '10_rotated_boxes'
    out = check(folder, folder / 'photos')
    assert out.count('turned by 35') == 12 and 'verdict: 1 kind of warning' in out


def test_17_boxes_apart_from_their_polygons_are_named():
    folder = CASES / '17_box_against_polygon'
    out = check(folder, folder / 'photos')
    assert out.count(', mask in [') == 24 and 'verdict: 1 kind of warning' in out
