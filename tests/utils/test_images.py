"""Sizes from headers: equal to what OpenCV decodes, read without decoding."""

import io
import os
import struct
import zlib
from pathlib import PurePath

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from mmdet_multigrain.utils import images
from mmdet_multigrain.utils.images import image_header, image_headers, image_size

WIDTH, HEIGHT = 40, 24
SOI = b'\xff\xd8'


def encode(kind='JPEG', mode='RGB', size=(WIDTH, HEIGHT), **options):
    stream = io.BytesIO()
    Image.new(mode, size).save(stream, kind, **options)
    return stream.getvalue()


def segment(marker, content):
    return bytes([0xFF, marker]) + struct.pack('>H', len(content) + 2) + content


def tiff(orientation, order='>', kind=3, first=8, magic=42, before=()):
    """EXIF data: a TIFF header and a directory with some entries, then the orientation."""
    entries = [*before, (0x0112, kind, 1, orientation)]
    packed = b''.join(struct.pack(f'{order}HHIHH', *entry, 0) for entry in entries)
    return (
        (b'MM' if order == '>' else b'II')
        + struct.pack(f'{order}HI', magic, first)
        + b'\0' * (first - 8)
        + struct.pack(f'{order}H', len(entries))
        + packed
        + b'\0' * 4
    )


def exif(*args, **options):
    return segment(0xE1, b'Exif\0\0' + tiff(*args, **options))


def chunk(kind, content):
    return (
        struct.pack('>I', len(content))
        + kind
        + content
        + struct.pack('>I', zlib.crc32(kind + content))
    )


def decoded_size(content):
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    return None if image is None else image.shape[1::-1]


JPEG, PNG = encode(), encode('PNG')
FIRST_DATA, END = PNG.index(b'IDAT') - 4, PNG.index(b'IEND') - 4
XMP = segment(0xE1, b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="6"/>')
BODY = JPEG[2:]
FILES = {
    'gray': encode(mode='L'),
    'CMYK': encode(mode='CMYK'),
    'progressive': encode(progressive=True),
    'XMP only': SOI + XMP + BODY,
    'XMP before EXIF': SOI + XMP + exif(6) + BODY,
    'two EXIF segments': SOI + exif(6) + exif(1) + BODY,
    'two EXIF segments, first upright': SOI + exif(1) + exif(6) + BODY,
    'EXIF after JFIF': SOI + BODY[:18] + exif(6) + BODY[18:],
    'EXIF far back': SOI + segment(0xE2, b'x' * 60_000) * 3 + exif(6) + BODY,
    'EXIF across the first read': SOI
    + segment(0xE2, b'x' * (images.HEAD_BYTES - 20))
    + exif(6)
    + BODY,
    'large EXIF': SOI
    + exif(6)[:2]
    + struct.pack('>H', 50_000)
    + (exif(6)[4:] + b'x' * 50_000)[:49_998]
    + BODY,
    'padding between segments': SOI + b'\xff\xff' + exif(6) + b'\xff\xff\xff' + BODY,
    'orientation as long number': SOI + exif(6, kind=4) + BODY,
    'orientation 9': SOI + exif(9) + BODY,
    'no TIFF': SOI + exif(6, magic=43) + BODY,
    'directory beyond the end': SOI + segment(0xE1, b'Exif\0\0II*\0\xff\xff\0\0') + BODY,
    'directory cut off': SOI + segment(0xE1, b'Exif\0\0' + tiff(6)[:12]) + BODY,
    'comment': SOI + segment(0xFE, b'\xff\xc0\0\x11\x08\0\1\0\1') + BODY,
    'rubbish at the end': JPEG + b'\xff\xc0',
    'PNG gray': encode('PNG', 'L'),
    'PNG with alpha': encode('PNG', 'RGBA'),
    'PNG with EXIF': PNG[:FIRST_DATA] + chunk(b'eXIf', tiff(6)) + PNG[FIRST_DATA:],
    'PNG with EXIF at the end': PNG[:END] + chunk(b'eXIf', tiff(8)) + PNG[END:],
    'PNG with text': PNG[:FIRST_DATA] + chunk(b'tEXt', b'eXIf\0' + tiff(6)) + PNG[FIRST_DATA:],
}


@pytest.mark.parametrize('name', FILES)
def test_size_is_that_of_the_decoded_image(tmp_path, name):
    (tmp_path / 'a').write_bytes(FILES[name])
    assert image_size(tmp_path / 'a') == decoded_size(FILES[name])


@pytest.mark.parametrize('orientation', [None, *range(9)])
def test_orientations_5_to_8_swap_the_sides(tmp_path, orientation):
    image = Image.new('RGB', (WIDTH, HEIGHT))
    data = image.getexif()
    if orientation is not None:
        data[0x0112] = orientation
    image.save(tmp_path / 'a.jpg', exif=data)
    size = (HEIGHT, WIDTH) if (orientation or 1) > 4 else (WIDTH, HEIGHT)
    assert image_size(tmp_path / 'a.jpg') == size
    assert image_header(tmp_path / 'a.jpg').orientation == (orientation or 1)
    assert decoded_size((tmp_path / 'a.jpg').read_bytes()) == size


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('images')


segments = st.lists(
    st.one_of(
        st.builds(
            segment, st.sampled_from([*range(0xE2, 0xEE), 0xEF, 0xFE]), st.binary(max_size=1500)
        ),
        st.builds(
            exif,
            st.integers(0, 10),
            st.sampled_from('<>'),
            st.integers(0, 5),
            st.sampled_from([8, 9, 20]),
            st.sampled_from([42, 42, 0]),
            st.lists(
                st.tuples(
                    st.sampled_from([0x0100, 0x0128, 0x0213]),
                    st.just(3),
                    st.just(1),
                    st.integers(0, 9),
                ),
                max_size=3,
            ),
        ),
        st.builds(segment, st.just(0xE1), st.just(b'http://ns.adobe.com/xap/1.0/\0<x/>')),
    ),
    max_size=4,
)


@settings(deadline=None)  # writes files
@given(
    before=segments,
    width=st.integers(1, 70),
    height=st.integers(1, 70),
    options=st.sampled_from([{}, {'progressive': True}, {'mode': 'L'}]),
)
def test_jpeg_with_any_segments(folder, before, width, height, options):
    content = SOI + b''.join(before) + encode(size=(width, height), **options)[2:]
    (folder / 'a.jpg').write_bytes(content)
    assert image_size(folder / 'a.jpg') == decoded_size(content)


@settings(deadline=None)  # writes files
@given(
    orientation=st.integers(0, 10),
    order=st.sampled_from('<>'),
    late=st.booleans(),
    width=st.integers(1, 70),
    height=st.integers(1, 70),
)
def test_png_with_exif(folder, orientation, order, late, width, height):
    content = encode('PNG', size=(width, height))
    place = content.index(b'IEND' if late else b'IDAT') - 4
    content = content[:place] + chunk(b'eXIf', tiff(orientation, order)) + content[place:]
    (folder / 'a.png').write_bytes(content)
    assert image_size(folder / 'a.png') == decoded_size(content)


@settings(deadline=None)  # writes files
@given(
    content=st.one_of(st.binary(max_size=60), st.binary(max_size=60).map(SOI.__add__)),
    cut=st.integers(0, 700),
    skip=st.integers(0, 30),
    base=st.sampled_from(list(FILES)),
)
@example(content=b'', cut=0, skip=10**9, base='gray')
def test_damaged_files_give_a_size_or_one_line(folder, content, cut, skip, base):
    damaged = FILES[base][:cut] + content + FILES[base][cut + skip :]
    (folder / 'a').write_bytes(damaged)
    try:
        width, height = image_size(folder / 'a')
    except ValueError as error:
        assert str(error) and '\n' not in str(error) and str(folder) not in str(error)
    else:
        assert width > 0 and height > 0


@pytest.mark.parametrize('content', [SOI + exif(6) + BODY, FILES['PNG with EXIF']])
def test_file_cut_off_anywhere_has_its_size_or_none(tmp_path, content):
    found = set()
    for cut in range(len(content)):
        (tmp_path / 'a').write_bytes(content[:cut])
        try:
            found.add(image_size(tmp_path / 'a'))
        except ValueError:
            found.add(None)
    sizes = {None, decoded_size(content)}
    # A PNG states its size before its EXIF data.
    assert found == (sizes if content.startswith(SOI) else sizes | {(WIDTH, HEIGHT)})


def test_size_is_read_without_decoding(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)).save(
        tmp_path / 'a.jpg'
    )
    content = (tmp_path / 'a.jpg').read_bytes()
    (tmp_path / 'a.jpg').write_bytes(content[:1000])  # the header and a little of the picture
    assert image_size(tmp_path / 'a.jpg') == (320, 240)


def test_unusual_jpeg_is_left_to_pillow(tmp_path):
    """Arithmetic coding: a rare frame header that Pillow knows."""
    (tmp_path / 'a.jpg').write_bytes(SOI + exif(6) + BODY.replace(b'\xff\xc0', b'\xff\xc9'))
    assert image_size(tmp_path / 'a.jpg') == (HEIGHT, WIDTH)


@pytest.mark.filterwarnings('error')
def test_pillow_does_not_warn_of_exif_data_that_are_cut_off(tmp_path):
    (tmp_path / 'a.jpg').write_bytes(
        SOI + segment(0xE1, b'Exif\0\0' + tiff(6)[:20]) + BODY.replace(b'\xff\xc0', b'\xff\xc9')
    )
    assert image_size(tmp_path / 'a.jpg')


def huge_png():
    header = struct.pack('>IIBBBBB', 1 << 16, 1 << 15, 8, 2, 0, 0, 0)
    return PNG[:8] + chunk(b'IHDR', header) + PNG[33:]


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (b'', 'an empty file'),
        (b'GIF89a', 'a GIF; OpenCV reads those from version 4.12 on'),
        (b'BM', 'neither a JPEG nor a PNG'),
        (PNG[:20], 'neither'),
        (b'\xff\xd8\xff', 'without a readable header'),
        (JPEG[:100], 'without a readable header'),
        (huge_png(), 'not a size that can be read'),
        (None, 'No such file'),
    ],
)
def test_unreadable_files(tmp_path, content, reason):
    if content is not None:
        (tmp_path / 'a.jpg').write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        image_size(tmp_path / 'a.jpg')


@pytest.mark.parametrize('workers', [None, 1, 2])
def test_sizes_of_many_images_are_in_order(tmp_path, monkeypatch, workers):
    monkeypatch.setattr(images, 'CHUNK', 3)
    paths = []
    for number in range(1, 11):
        (tmp_path / f'{number}.jpg').write_bytes(encode(size=(number, 5)) if number != 4 else b'')
        paths.append(str(tmp_path / f'{number}.jpg'))
    expected = [(number, 5, 1) if number != 4 else 'an empty file' for number in range(1, 11)]
    assert list(image_headers(paths, workers=workers)) == expected


def test_size_in_an_open_folder(tmp_path):
    (tmp_path / 'a.jpg').write_bytes(JPEG)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        assert image_size('a.jpg', folder=descriptor) == (WIDTH, HEIGHT)
    finally:
        os.close(descriptor)


def test_a_file_is_an_image_by_its_suffix_or_content(tmp_path):
    content = encode('PNG')
    for name in ('a.jfif', 'a.TIF', 'a.gif', 'a.jpe', 'a.broken.webp'):
        (tmp_path / name).write_bytes(b'')
        assert images.is_image(tmp_path / name)
    for name in ('photo', 'photo.dat', 'photo.heic'):
        (tmp_path / name).write_bytes(content)
        assert images.is_image(tmp_path / name)
        (tmp_path / name).write_bytes(b'text')
        assert not images.is_image(tmp_path / name)
    assert not images.is_image(tmp_path)


def test_names_of_pictures_differ():
    names = images.PictureNames()
    for name, picture in (
        ('a/1.JPEG', 'a/1.JPEG'),
        ('b/1.JPEG', 'b/1.JPEG'),
        ('1.tif', '1.tif.png'),
        ('1.tif.png', '1.tif_2.png'),
        ('1.tif', '1.tif.png'),
    ):
        assert names.of(PurePath(name)) == PurePath(picture)
    assert names.of(PurePath('1.png'), 'x/1.png') == PurePath('1.png')
    assert names.of(PurePath('1.png'), 'y/1.png') == PurePath('1_2.png')


@pytest.mark.parametrize(
    'compression', [(), (cv2.IMWRITE_TIFF_COMPRESSION, 1)], ids=['default', 'plain']
)
@pytest.mark.parametrize(
    ('suffix', 'dtype', 'channels', 'problem'),
    [
        ('tif', np.float32, 1, 'floating-point'),
        ('tif', np.float32, 3, 'floating-point'),
        ('tif', np.float64, 1, 'floating-point'),
        ('tif', np.int32, 1, '32-bit'),
        ('hdr', np.float32, 3, 'floating-point'),
        ('pfm', np.float32, 3, 'floating-point'),
        ('tif', np.uint8, 3, None),
        ('tif', np.uint16, 1, None),
        ('bmp', np.uint8, 3, None),
        ('webp', np.uint8, 3, None),
    ],
)
def test_pixels_that_decoders_clip(tmp_path, suffix, dtype, channels, problem, compression):
    path = tmp_path / f'a.{suffix}'
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, channels)).astype(dtype)
    assert cv2.imwrite(str(path), pixels, compression)
    expected = problem and f'{problem} pixels, which detectors cannot read'
    found = images.file_problem(path)
    assert found is expected is None or found.startswith(expected)


def test_a_damaged_tiff_is_left_to_the_decoder(tmp_path):
    path = tmp_path / 'a.tif'
    path.write_bytes(b'II*\0' + b'\xff' * 20)
    assert images.pixel_problem(path) is None
    assert images.pixel_problem(tmp_path / 'none.tif') is None
