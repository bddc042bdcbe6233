"""Photos that are black or of one color, and photos that look the same."""

import cv2
import numpy as np
import pytest
from PIL import Image

from mmdet_multigrain.coco.looks import Look, look_alikes, look_at


def scene(seed, size=(160, 120)):
    """A photo of some shapes in front of a gradient."""
    rng = np.random.default_rng(seed)
    base = np.linspace(60, 190, size[0])[None, :, None] * np.ones((size[1], 1, 3))
    for _ in range(6):
        x, y = rng.integers(0, size[0] - 30), rng.integers(0, size[1] - 30)
        base[y : y + 30, x : x + 30] = rng.integers(0, 255, 3)
    return base.clip(0, 255).astype(np.uint8)


@pytest.fixture
def saved(tmp_path):
    def save(pixels, name='a.png', *, size=None, **options):
        image = Image.fromarray(pixels)
        path = tmp_path / name
        image.resize(size or image.size, Image.Resampling.BICUBIC).save(path, **options)
        return look_at(path)

    return save


def pairs(*looks):
    first, *others = looks
    return [number for _, number in look_alikes([first], others)]


@pytest.mark.parametrize(
    ('name', 'size', 'options'),
    [
        ('b.png', None, {}),
        ('b.jpg', None, {'quality': 60}),
        ('b.jpg', (80, 60), {}),
        ('b.jpg', (480, 360), {'quality': 70}),
        ('b.webp', (960, 720), {'quality': 50}),
        ('b.jpg', (1600, 1200), {}),  # decoded at a reduced size
        ('b.bmp', (150, 115), {}),
    ],
)
@pytest.mark.parametrize('seed', range(4))
def test_resized_and_encoded_again(saved, name, size, options, seed):
    first, again = saved(scene(seed)), saved(scene(seed), name, size=size, **options)
    assert pairs(first, saved(scene(99)), again) == [1]


def test_other_photos(saved):
    looks = [saved(scene(seed)) for seed in range(30)]
    assert [pair for pair in look_alikes(looks, looks) if pair[0] != pair[1]] == []


def test_flat_photos_may_differ_by_one_gray_level():
    flat = np.full((4, 4), 100, np.uint8)
    half = flat + 1
    half[:2] += 1
    looks = [Look(one, np.ones(64, bool), 0, 255, 255) for one in (flat, flat + 1, half)]
    assert pairs(*looks) == [0]


def test_white_photos_with_small_objects_are_not_all_one(saved):
    looks = []
    for place in range(6):
        pixels = np.full((120, 160, 3), 250, np.uint8)
        pixels[40:80, 20 + 20 * place : 50 + 20 * place] = 60
        looks.append(saved(pixels))
    assert list(look_alikes(looks, looks)) == [(n, n) for n in range(6)]


@pytest.mark.parametrize(
    ('value', 'is_black', 'is_blank'), [(0, True, True), (3, True, True), (255, False, True)]
)
def test_photos_of_one_color(saved, value, is_black, is_blank):
    look = saved(np.full((40, 50, 3), value, np.uint8))
    assert (look.is_black, look.is_blank) == (is_black, is_blank)
    assert pairs(look, look) == []


@pytest.mark.parametrize(
    ('low', 'high', 'peak', 'is_black', 'is_blank'),
    [
        (0, 16, 255, True, False),
        (0, 17, 64, True, False),
        (0, 17, 65, False, False),
        (100, 108, 255, False, True),
        (100, 109, 255, False, False),
    ],
)
def test_limits_of_black_and_of_one_color(low, high, peak, is_black, is_blank):
    look = Look(np.zeros((32, 32), np.uint8), np.zeros(64, bool), low, high, peak)
    assert (look.is_black, look.is_blank) == (is_black, is_blank)


def test_dark_photos_are_not_black(saved):
    look = saved((scene(0) // 6).clip(0, 42))  # the brightest pixel has 42 of 255
    assert look.is_black
    night = scene(0) // 12
    night[:12, :40] = 200  # a lamp
    assert not saved(night).is_black


@pytest.mark.parametrize(('bits', 'is_black'), [(10, True), (12, True), (14, True), (16, False)])
def test_16_bit_photos_that_use_some_bits(tmp_path, bits, is_black):
    path = str(tmp_path / 'a.png')
    cv2.imwrite(path, scene(1)[..., 0].astype(np.uint16) << (bits - 8))
    assert look_at(path).is_black == is_black


def test_a_drawing_in_the_alpha_channel(saved):
    pixels = np.zeros((120, 160, 4), np.uint8)
    pixels[..., 3] = scene(2)[..., 0]
    look = saved(pixels)
    assert look.is_black and look.is_blank
    pixels[..., :3] = 255
    assert saved(pixels).is_blank


def test_what_is_not_a_photo(tmp_path):
    for content in (b'', b'text', b'\xff\xd8\xff\xe0'):
        (tmp_path / 'a.jpg').write_bytes(content)
        assert look_at(tmp_path / 'a.jpg') is None
    assert look_at(tmp_path / 'none.jpg') is None
