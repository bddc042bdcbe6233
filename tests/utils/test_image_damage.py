"""Damage and limits of image files, told without decoding them."""

import io
import struct
import zlib

import pytest
from PIL import Image

from mmdet_multigrain.utils import images
from mmdet_multigrain.utils.images import (
    SOUND_PIXELS,
    file_problem,
    image_headers,
    image_size,
    jpeg_size,
    pixel_problem,
)

SOI, EOI, IEND = b'\xff\xd8', b'\xff\xd9', b'\0\0\0\0IEND\xaeB`\x82'


def encode(kind, size=(40, 24), **options):
    stream = io.BytesIO()
    Image.radial_gradient('L').resize(size).convert('RGB').save(stream, kind, **options)
    return stream.getvalue()


JPEG, PNG = encode('JPEG'), encode('PNG')
CUT = 'cut off before its end'


@pytest.mark.parametrize(
    ('content', 'problem'),
    [
        (JPEG, None),
        (JPEG + b'a film' * 999, None),
        (JPEG[: len(JPEG) // 2], CUT),
        (JPEG[:-20], CUT),
        (JPEG[: len(JPEG) // 2] + b'more', CUT),
        (PNG, None),
        (PNG + b'more', None),
        (PNG[:-1], CUT),
        (PNG[:-12], CUT),
        (PNG.replace(IEND, IEND[::-1]), CUT),
        (b'text', None),  # its decoder judges
        (b'', None),
    ],
)
def test_files_that_are_cut_off(tmp_path, content, problem):
    path = tmp_path / 'a'
    path.write_bytes(content)
    assert file_problem(path) == problem


def test_a_file_that_is_not_there_is_left_to_its_reader(tmp_path):
    assert file_problem(tmp_path / 'none') is None


def test_an_end_marker_of_a_thumbnail_is_not_that_of_the_image():
    thumbnail = b'\xff\xe1' + struct.pack('>H', 8) + EOI + b'1234'
    scan = b'\xff\xda' + struct.pack('>H', 4) + b'ab' + b'pixels'
    assert images._ends_scan(SOI + thumbnail + scan + EOI)
    assert not images._ends_scan(SOI + thumbnail + scan)
    assert not images._ends_scan(SOI + thumbnail + EOI)  # no scan at all
    assert not images._ends_scan(SOI + thumbnail + b'pad' + scan + EOI)  # no segment there


def test_the_end_marker_alone_may_be_missing(tmp_path, monkeypatch):
    """Then all pixels are there."""
    path = tmp_path / 'a.jpg'
    path.write_bytes(JPEG[:-2])
    monkeypatch.setattr(images, '_pillow_decodes', lambda asked: asked == path)
    assert file_problem(path) is None
    monkeypatch.setattr(images, '_pillow_decodes', lambda asked: False)
    assert file_problem(path) == CUT


def test_what_pillow_decodes(tmp_path):
    for name, content, decodes in (('a', JPEG, True), ('b', JPEG[:-20], False), ('c', b'', False)):
        (tmp_path / name).write_bytes(content)
        assert images._pillow_decodes(tmp_path / name) == decodes


def png_of(width, height):
    """A PNG that states a size."""
    kind = b'IHDR' + struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    return PNG[:12] + kind + struct.pack('>I', zlib.crc32(kind)) + PNG[33:]


@pytest.mark.parametrize(
    ('width', 'problem'),
    [(17_895_697, None), (17_895_698, '17895698 x 10 are too many pixels')],
)
def test_images_of_too_many_pixels(tmp_path, width, problem):
    assert SOUND_PIXELS == 178_956_970
    path = tmp_path / 'a.png'
    path.write_bytes(png_of(width, 10))
    assert file_problem(path) == problem


def test_the_largest_image_that_has_a_size(tmp_path):
    path = tmp_path / 'a.png'
    path.write_bytes(png_of(1 << 15, 1 << 15))
    assert image_size(path) == (1 << 15, 1 << 15)
    for width, height in ((1 << 15, (1 << 15) + 1), (0, 9), (9, 0)):
        path.write_bytes(png_of(width, height))
        with pytest.raises(ValueError, match=f'{width}x{height} is not a size that can be read'):
            image_size(path)


@pytest.mark.parametrize('limit', [Image.MAX_IMAGE_PIXELS, None])
def test_other_formats_of_too_many_pixels(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', limit)
    content = bytearray(encode('BMP'))
    for width, problem in ((17_895_697, None), (17_895_698, 'too many pixels')):
        content[18:26] = struct.pack('<ii', width, 10)
        (tmp_path / 'a.bmp').write_bytes(content)
        told = problem if limit or not problem else f'{width} x 10 are {problem}'
        assert file_problem(tmp_path / 'a.bmp') == told


def tiff(*entries, big=False, order='<'):
    """A TIFF, or a BigTIFF, with one directory of short numbers: (tag, values)."""
    count, size, value = ('Q', 'Q', 8) if big else ('H', 'I', 4)
    mark = (b'II' if order == '<' else b'MM') + struct.pack(f'{order}H', 43 if big else 42)
    head = mark + (struct.pack(f'{order}HHQ', 8, 0, 16) if big else struct.pack(f'{order}I', 8))
    body = b''.join(
        struct.pack(f'{order}HH{size}', tag, 3, len(values))
        + struct.pack(f'{order}{len(values)}H', *values).ljust(value, b'\0')
        for tag, values in entries
    )
    return head + struct.pack(f'{order}{count}', len(entries)) + body + bytes(8)


BITS, COMPRESSION, FORMAT = 258, 259, 339
CLIPPED = 'pixels, which detectors cannot read; save it with 8 bits per channel'


# Pillow takes big-endian BigTIFFs for others.
@pytest.mark.parametrize(('big', 'order'), [(False, '<'), (False, '>'), (True, '<')])
@pytest.mark.parametrize(
    ('entries', 'kind'),
    [
        ([(BITS, (32,)), (FORMAT, (3,))], 'floating-point'),
        ([(BITS, (16, 16)), (FORMAT, (1, 3))], 'floating-point'),
        ([(BITS, (16,)), (COMPRESSION, (34676,))], 'floating-point'),
        ([(BITS, (16,)), (COMPRESSION, (34677,))], 'floating-point'),
        ([(BITS, (8,)), (COMPRESSION, (5,))], None),
        ([(BITS, (16,)), (FORMAT, (1,))], None),
        ([(BITS, (17,))], '17-bit'),
        ([(BITS, (8, 32))], '32-bit'),
        ([(COMPRESSION, (1,))], None),
    ],
)
def test_pixels_of_tiffs(tmp_path, entries, kind, order, big):
    (tmp_path / 'a.tif').write_bytes(tiff(*entries, order=order, big=big))
    assert pixel_problem(tmp_path / 'a.tif') == (kind and f'{kind} {CLIPPED}')


@pytest.mark.parametrize('head', [b'#?RADIANCE', b'#?RGBE', b'PF\n', b'Pf\n', b'v/1\x01'])
def test_formats_of_floating_point_pixels(tmp_path, head):
    (tmp_path / 'a').write_bytes(head + bytes(30))
    assert pixel_problem(tmp_path / 'a') == file_problem(tmp_path / 'a')
    assert pixel_problem(tmp_path / 'a') == f'floating-point {CLIPPED}'
    (tmp_path / 'a').write_bytes(b'x' + head + bytes(30))
    assert pixel_problem(tmp_path / 'a') is None


def frame(marker=0xC0, bits=8, height=24, width=40):
    content = struct.pack('>BHHB', bits, height, width, 1) + b'\1\x11\0'
    return bytes([0xFF, marker]) + struct.pack('>H', len(content) + 2) + content


@pytest.mark.parametrize(
    ('content', 'size'),
    [
        (frame(), (40, 24)),
        (frame(0xC1), (40, 24)),
        (frame(0xC2, width=300, height=513), (300, 513)),
        (frame(0xC3), None),  # lossless
        (frame(0xC9), None),
        (frame(bits=12), None),
        (frame(height=0), None),
        (b'\xff\xc4\0\5abc' + frame(), (40, 24)),
        (b'\xff\xdb\0\2' + frame(), (40, 24)),
        (b'\xff\xdd\0\4ab' + frame(), (40, 24)),
        (b'\xff\xfe\0\4ab' + frame(), (40, 24)),
        (b'\xff\xef\0\4ab' + frame(), (40, 24)),
        (b'\xff\xf0\0\4ab' + frame(), None),
        (b'\xff' + frame(), (40, 24)),
        (b'\xff\xe1\0\4ab', None),
        (b'ab' + frame(), None),
    ],
)
def test_sizes_in_segments(content, size):
    assert jpeg_size(SOI + content) == size


def test_a_size_may_come_late(tmp_path, monkeypatch):
    """Up to a MiB of color profiles and thumbnails is read for it; Pillow reads more."""

    def by_pillow(file):
        raise ValueError('left to Pillow')

    monkeypatch.setattr(images, '_header_by_pillow', by_pillow)
    piece = b'\xff\xe2' + struct.pack('>H', 60_002) + bytes(60_000)
    for count, found in ((0, True), (16, True), (19, False)):
        (tmp_path / 'a.jpg').write_bytes(SOI + piece * count + frame() + EOI)
        if found:
            assert image_size(tmp_path / 'a.jpg') == (40, 24)
        else:
            with pytest.raises(ValueError, match='left to Pillow'):
                image_size(tmp_path / 'a.jpg')


def test_few_files_are_read_by_one_process(tmp_path, monkeypatch):
    asked = []
    original = images.map_ordered

    def recorded(function, tasks, *, workers):
        asked.append(workers)
        return original(function, tasks, workers=1)

    (tmp_path / 'a.jpg').write_bytes(JPEG)
    monkeypatch.setattr(images, 'map_ordered', recorded)
    monkeypatch.setattr(images, 'default_workers', lambda: 7)
    assert (images.CHUNK, images.MIN_SHARED) == (500, 2000)
    monkeypatch.setattr(images, 'MIN_SHARED', 3)
    path = str(tmp_path / 'a.jpg')
    for count, workers in ((3, None), (4, None), (4, 5)):
        assert list(image_headers([path] * count, workers=workers)) == [(40, 24, 1)] * count
    assert asked == [1, 7, 5]
