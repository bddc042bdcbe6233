"""Reduced decoding: the same samples but for pixels, and those nearer than another back-end."""

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmcv.transforms import LoadImageFromFile, RandomChoiceResize
from mmdet.datasets.transforms import LoadAnnotations, Resize
from mmengine.dataset import Compose
from PIL import Image

from mmdet_multigrain.datasets.transforms import LoadResized
from mmdet_multigrain.datasets.transforms import load_resized as module
from mmdet_multigrain.datasets.transforms.load_resized import decode_reduced, reduction

from .conftest import assert_same_but_pixels, draw, fast, pipeline, psnr, run

sides = st.integers(24, 700)


@pytest.mark.parametrize(
    ('size', 'target', 'denominator'),
    [
        ((1200, 1800), (400, 600), 2),  # three times: 1/2 is 1.5 times the target
        ((1200, 1800), (800, 1200), 1),
        ((1200, 1800), (600, 900), 1),  # 1/2 would do, but without a margin
        ((801, 1201), (300, 450), 2),
        ((799, 1201), (300, 450), 1),  # one side is too small
        ((1600, 1600), (300, 300), 4),
        ((4000, 3000), (280, 210), 8),
        ((4000, 10), (100, 0), 1),  # stock raises at a side of nothing
    ],
)
def test_reduction_by_hand(size, target, denominator):
    assert reduction(size, target) == denominator


def test_reduced_image_has_each_side_rounded_up_or_is_none(photo):
    content = photo(draw(101, 66)).read_bytes()
    for denominator, shape in ((2, (33, 51, 3)), (4, (17, 26, 3)), (8, (9, 13, 3))):
        assert decode_reduced(content, (101, 66), denominator).shape == shape
    assert decode_reduced(content, (66, 101), 2) is None
    assert decode_reduced(content[:100], (101, 66), 2) is None


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    width=sides,
    height=sides,
    scales=st.lists(st.tuples(sides, sides), min_size=1, max_size=3),
    keep_ratio=st.booleans(),
    seed=st.integers(0, 2**31),
    quality=st.integers(60, 100),
)
def test_all_but_pixels_is_stock(photo, width, height, scales, keep_ratio, seed, quality):
    path = photo(draw(width, height), 'photo.jpg', cv2.IMWRITE_JPEG_QUALITY, quality)
    steps = pipeline(*scales, keep_ratio=keep_ratio)
    stock = run(steps, path, seed=seed)
    assert_same_but_pixels(stock, run(fast(steps), path, seed=seed))
    exact = run(fast(steps, reduced_decode=False), path, seed=seed)
    assert_same_but_pixels(stock, exact)
    assert exact['inputs'].equal(stock['inputs'])


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    width=st.integers(300, 900),
    height=st.integers(300, 900),
    factor=st.floats(2.67, 12),
    # Finer detail is noise at this scale: all back ends are equally far from stock (15 dB).
    detail=st.floats(5, 30),
    seed=st.integers(0, 2**31),
)
def test_nearer_to_stock_than_its_other_back_end(photo, width, height, factor, detail, seed):
    path = photo(draw(width, height, seed=seed, detail=detail))
    scale = (max(width, height), max(8, int(min(width, height) / factor)))
    stock = run(pipeline(scale), path, seed=seed)
    pillow = run(pipeline(scale, backend='pillow'), path, seed=seed)
    ours = run(fast(pipeline(scale)), path, seed=seed)
    assert psnr(ours['inputs'], stock['inputs']) >= psnr(pillow['inputs'], stock['inputs'])


def test_image_is_not_shifted_by_odd_sides(photo):
    """A last column that covers one pixel instead of two must not move the others."""
    path, scale = photo(draw(1001, 751, detail=40)), (1001, 250)
    stock, ours = run(pipeline(scale), path), run(fast(pipeline(scale)), path)
    right = np.s_[:, :, -100:]
    aligned = psnr(stock['inputs'][right], ours['inputs'][right])
    reduced = decode_reduced(path.read_bytes(), (1001, 751), 2)
    by_size = cv2.resize(reduced, stock['inputs'].shape[:0:-1]).transpose(2, 0, 1)
    if stock['data_samples'].flip:
        by_size = by_size[:, :, ::-1]
    by_size = stock['inputs'].new_tensor(by_size.copy())
    assert aligned > psnr(stock['inputs'][right], by_size[right]) + 0.5


def test_real_photos(ccp):
    for path in sorted((ccp / 'photos').glob('*.jpg'))[:6]:
        stock = run(pipeline((300, 200)), path)
        pillow = run(pipeline((300, 200), backend='pillow'), path)
        ours = run(fast(pipeline((300, 200))), path)
        assert_same_but_pixels(stock, ours)
        assert not ours['inputs'].equal(stock['inputs'])
        assert psnr(ours['inputs'], stock['inputs']) > psnr(pillow['inputs'], stock['inputs'])


@pytest.mark.parametrize('orientation', range(1, 9))
def test_exif_orientation(tmp_path, orientation):
    path = tmp_path / 'photo.jpg'
    image = Image.fromarray(draw(401, 300, detail=40)[:, :, ::-1])
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(path, exif=exif, quality=90)
    stock, ours = (run(steps, path) for steps in (pipeline((140, 90)), fast(pipeline((140, 90)))))
    assert_same_but_pixels(stock, ours)
    assert stock['data_samples'].ori_shape == ((300, 401) if orientation < 5 else (401, 300))
    assert 30 < psnr(stock['inputs'], ours['inputs']) < 100


def save(path, kind):
    """A picture of 401 x 300 px in an unusual format."""
    rgb = Image.fromarray(draw(401, 300, detail=40)[:, :, ::-1])
    if kind == 'progressive':
        rgb.save(path, 'JPEG', progressive=True)
    elif kind == '4:4:4':
        rgb.save(path, 'JPEG', subsampling=0)
    elif kind in ('gray', 'cmyk'):
        rgb.convert('L' if kind == 'gray' else 'CMYK').save(path, 'JPEG')
    elif kind == '16-bit png':
        path.write_bytes(cv2.imencode('.png', draw(401, 300).astype(np.uint16) * 200)[1].tobytes())
    else:
        rgb.convert({'png': 'RGB', 'alpha png': 'RGBA', 'palette png': 'P'}[kind]).save(path, 'PNG')


@pytest.mark.parametrize(
    ('kind', 'reduced'),
    [
        ('progressive', True),
        ('4:4:4', True),
        ('gray', True),
        ('cmyk', True),
        ('png', False),
        ('alpha png', False),
        ('palette png', False),
        ('16-bit png', False),
    ],
)
def test_other_formats(tmp_path, kind, reduced):
    path = tmp_path / 'photo'
    save(path, kind)
    stock, ours = (run(steps, path) for steps in (pipeline((140, 90)), fast(pipeline((140, 90)))))
    assert_same_but_pixels(stock, ours)
    if reduced:
        assert 30 < psnr(stock['inputs'], ours['inputs']) < 100
    else:
        assert ours['inputs'].equal(stock['inputs'])


def broken(photo, kind):
    path = photo(draw(401, 300))
    content = path.read_bytes()
    damaged = {
        'empty': b'',
        'text': b'no image',
        'header only': content[:300],
        'zeros': content[:300] + bytes(2000),
        'cut off': content[:-2000],
        'damaged': content[:9000] + bytes(40) + content[9040:],
    }
    if kind == 'missing':
        path.unlink()
    else:
        path.write_bytes(damaged[kind])
    return path


@pytest.mark.parametrize(
    'kind', ['missing', 'empty', 'text', 'header only', 'zeros', 'cut off', 'damaged']
)
def test_broken_files_as_stock(photo, kind):
    path, outcomes = broken(photo, kind), []
    for steps in (pipeline((140, 90)), fast(pipeline((140, 90)))):
        try:
            outcomes.append(run(steps, path))
        except Exception as error:  # noqa: BLE001 (whatever stock raises)
            outcomes.append((type(error), str(error)))
    if isinstance(outcomes[0], dict):
        assert_same_but_pixels(*outcomes)
    else:
        assert outcomes[0] == outcomes[1]
    if kind != 'cut off':  # OpenCV 4.10 fills in what is missing, later ones read nothing
        assert isinstance(outcomes[0], dict) == (kind == 'damaged')


def test_what_cannot_be_decoded_reduced_is_decoded_whole(photo, monkeypatch):
    monkeypatch.setattr(module, 'decode_reduced', lambda *arguments: None)
    path = photo(draw(401, 300))
    stock, ours = (run(steps, path) for steps in (pipeline((140, 90)), fast(pipeline((140, 90)))))
    assert_same_but_pixels(stock, ours)
    assert ours['inputs'].equal(stock['inputs'])


def test_single_scale_and_masks(photo):
    path = photo(draw(401, 300, detail=40))
    polygon = [10.0, 10.0, 200.0, 20.0, 100.0, 150.0]
    steps = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
        dict(type='Resize', scale=(140, 90), keep_ratio=True),
    ]
    results = [
        Compose(one)(
            dict(
                img_path=str(path),
                instances=[
                    dict(bbox=[10, 10, 200, 150], bbox_label=0, ignore_flag=0, mask=[polygon])
                ],
            )
        )
        for one in (steps, fast(steps))
    ]
    stock, ours = results
    assert set(stock) == set(ours)
    assert (stock['gt_masks'].masks == ours['gt_masks'].masks).all()
    assert (stock['homography_matrix'] == ours['homography_matrix']).all()
    for key in ('img_shape', 'ori_shape', 'scale', 'scale_factor', 'keep_ratio'):
        assert stock[key] == ours[key]
    assert not np.array_equal(stock['img'], ours['img'])


def test_fits_stock_transforms_with_plain_settings_only():
    load, notes = LoadImageFromFile(), LoadAnnotations(with_bbox=True)
    resize = Resize(scale=(300, 200), keep_ratio=True)
    assert LoadResized.fits(load, [notes], resize) and LoadResized.fits(load, [], resize)
    assert LoadResized.fits(load, [notes], RandomChoiceResize(scales=[(300, 200)]))

    class OwnResize(Resize):
        pass

    for other in (
        LoadImageFromFile(color_type='grayscale'),
        LoadImageFromFile(to_float32=True),
        LoadImageFromFile(ignore_empty=True),
        LoadImageFromFile(file_client_args=dict(backend='disk')),
        notes,
        LoadImageFromFile(imdecode_backend='pillow'),
    ):
        assert not LoadResized.fits(other, [notes], resize)
    for other in (
        Resize(scale_factor=0.5),
        Resize(scale=(3, 2), interpolation='nearest'),
        Resize(scale=(3, 2), backend='pillow'),
        OwnResize(scale=(3, 2)),
        RandomChoiceResize(scales=[(300, 200)], backend='pillow'),
        RandomChoiceResize(scales=[300]),
    ):
        assert not LoadResized.fits(load, [notes], other)
    assert not LoadResized.fits(load, [lambda results: results], resize)


def test_scales_are_drawn_as_stock_draws_them(photo):
    path, scales = photo(draw(401, 300)), [(140, 60), (140, 90), (400, 300)]
    shapes = []
    for steps in (pipeline(*scales), fast(pipeline(*scales))):
        transform = Compose(steps)
        np.random.seed(3)
        shapes.append(
            [transform(dict(img_path=str(path), instances=[]))['inputs'].shape for _ in range(12)]
        )
    assert shapes[0] == shapes[1] and len(set(shapes[0])) == 3
