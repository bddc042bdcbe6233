"""Image sizes and damage from file headers and ends: what a reader will see, without decoding.

Needs neither torch nor mmdet. Decoding belongs to the data sets' pipelines.
"""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import BinaryIO, NamedTuple

from .parallel import chunked, default_workers, map_ordered
from .progress import progress_bar

# Of image files in a folder. A file that a data set names is read by its content, whatever its name.
IMAGE_SUFFIXES = (
    *('.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.bmp', '.dib', '.webp', '.tif', '.tiff', '.gif'),
    *('.avif', '.jp2', '.pbm', '.pgm', '.ppm', '.pnm'),
)
PICTURE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp')  # of the pictures that we write
EXIF_ORIENTATION = 0x0112
TURNS = {  # what a reader does to the stored pixels, by EXIF orientation
    2: 'mirrored',
    3: '180 degrees',
    4: '180 degrees and mirrored',
    5: 'mirrored, then 90 degrees counterclockwise',
    6: '90 degrees clockwise',
    7: 'mirrored, then 90 degrees clockwise',
    8: '90 degrees counterclockwise',
}
MAX_PIXELS = 1 << 30  # OpenCV reads no larger image
SOUND_PIXELS = 178_956_970  # Pillow reads no larger one: half a GiB in memory, in each worker
HEAD_BYTES = 1024  # read first: most JPEG files state their size within them
MORE_BYTES = 1 << 16  # then in pieces, past thumbnails and color profiles, ...
MAX_HEAD_BYTES = 1 << 20  # ... up to so many
CHUNK = 500  # files that a process reads at a time
MIN_SHARED = 4 * CHUNK  # fewer files are read sooner than other processes start

# Segments of a JPEG that say nothing of its size: tables, restart interval, APP0-15, comment.
_SKIPPED = frozenset({0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)})
_APP1 = 0xE1
_JPEG_END = b'\xff\xd9'
_PNG_END = b'\0\0\0\0IEND\xaeB`\x82'
_LOGARITHMIC = (34676, 34677)  # compressions of a TIFF, of floating-point pixels
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended, progressive


def is_image(path: str | os.PathLike[str]) -> bool:
    """Whether a file is an image: one of `IMAGE_SUFFIXES`, or content that OpenCV recognizes."""
    if os.fspath(path).lower().endswith(IMAGE_SUFFIXES):
        return True
    import cv2  # slow to import

    return os.path.isfile(path) and cv2.haveImageReader(os.fspath(path))


class PictureNames:
    """Names for the pictures of images, unlike each other.

    A picture has the name of its image, folders included; `.png` is added where pictures are not
    written in the image's format. A name that is taken gets a number.
    """

    def __init__(self) -> None:
        self._sources: dict[PurePath, str] = {}

    def of(self, name: PurePath, source: str | os.PathLike[str] | None = None) -> PurePath:
        """The name of the picture of an image, named relative to the folder of all images.

        It is the same at each call with a source, which identifies the image; default: its name.
        """
        source = os.fspath(name if source is None else source)
        known = name.suffix.lower() in PICTURE_SUFFIXES
        picture = first = name if known else name.with_name(f'{name.name}.png')
        number = 1
        while self._sources.setdefault(picture, source) != source:
            number += 1
            picture = first.with_name(f'{first.stem}_{number}{first.suffix}')
        return picture


class ImageHeader(NamedTuple):
    """The size of an image as a reader sees it, in pixels, and its EXIF orientation (1 to 8)."""

    width: int
    height: int
    orientation: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.width, self.height


def image_size(path: str | os.PathLike[str], *, folder: int | None = None) -> tuple[int, int]:
    """(width, height) as an image reader sees them; see `image_header`."""
    return image_header(path, folder=folder).size


def image_header(path: str | os.PathLike[str], *, folder: int | None = None) -> ImageHeader:
    """Size and EXIF orientation as an image reader sees them, from the file's header only.

    OpenCV, and with it MMDetection, turns an image upright by its EXIF orientation: 5 to 8 swap the
    sides. As in OpenCV 4, the first APP1 segment of a JPEG counts, and the first eXIf chunk of a
    PNG. `folder` is the descriptor of an open folder, where a relative path starts.

    Raises:
        ValueError: The file is not a readable JPEG or PNG; one line, without the path.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
        try:
            head = os.read(file, HEAD_BYTES)
            header = _jpeg_header(head) or _header_otherwise(file, head)
        finally:
            os.close(file)
    except OSError as error:
        raise ValueError(error.strerror) from None
    if not 0 < header.width * header.height <= MAX_PIXELS:
        raise ValueError(f'{header.width}x{header.height} is not a size that can be read')
    return header


def file_problem(path: str | os.PathLike[str]) -> str | None:
    """What is wrong with an image file that its decoder may not tell, or too late; None if nothing.

    That is a file cut off before its end, which some decoders fill up with gray, one of so many
    pixels that decoding takes up the memory, and one with floating-point pixels, which decoders
    clip to white. Costs two short reads of a good file.
    """
    try:
        width, height = image_size(path)
    except ValueError:
        return _other_problem(path)
    if width * height > SOUND_PIXELS:
        return f'{width} x {height} are too many pixels'
    try:
        return 'cut off before its end' if _is_cut_off(path) else None
    except OSError as error:
        return error.strerror


def _is_cut_off(path: str | os.PathLike[str]) -> bool:
    with open(path, 'rb') as file:
        is_jpeg = file.read(2) == b'\xff\xd8'
        end = _JPEG_END if is_jpeg else _PNG_END
        file.seek(-len(end), os.SEEK_END)
        if file.read() == end:
            return False
        file.seek(0)
        content = file.read()
    # Some cameras append films and previews.
    if is_jpeg:
        return not _ends_scan(content) and not _pillow_decodes(path)
    return _PNG_END not in content


def _ends_scan(jpeg: bytes) -> bool:
    """Whether the end marker follows the first scan; earlier there may be that of a thumbnail."""
    position = 2
    while jpeg[position : position + 1] == b'\xff':
        if jpeg[position + 1 : position + 2] == b'\xda':
            return jpeg.find(_JPEG_END, position) >= 0
        position += 2 + int.from_bytes(jpeg[position + 2 : position + 4], 'big')
    return False


def _pillow_decodes(path: str | os.PathLike[str]) -> bool:
    """Whether all pixels are there; then the end marker alone is missing, which does no harm."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False
    return True


def pixel_problem(path: str | os.PathLike[str]) -> str | None:
    """Why the pixels of a file are not 8 or 16-bit numbers, as in float TIFFs; None if they are."""
    try:
        with open(path, 'rb') as file:
            head = file.read(16)
            kind = _float_kind(file, head)
    except OSError:
        return None  # the decoder judges
    if kind is None:
        return None
    return f'{kind} pixels, which detectors cannot read; save it with 8 bits per channel'


def _float_kind(file: BinaryIO, head: bytes) -> str | None:
    if head.startswith((b'#?RADIANCE', b'#?RGBE', b'PF\n', b'Pf\n', b'v/1\x01')):  # HDR, PFM, EXR
        return 'floating-point'
    if not head.startswith((b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')):
        return None
    from PIL.TiffImagePlugin import BITSPERSAMPLE, COMPRESSION, SAMPLEFORMAT, ImageFileDirectory_v2

    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of damaged entries
            directory = ImageFileDirectory_v2(head if head[2:3] == b'+' else head[:8])
            file.seek(directory.next)
            directory.load(file)
        bits = max(directory.get(BITSPERSAMPLE, (1,)))
        is_float = 3 in directory.get(SAMPLEFORMAT, ())
    except (OSError, SyntaxError, ValueError, TypeError, struct.error):
        return None
    if is_float or directory.get(COMPRESSION) in _LOGARITHMIC:
        return 'floating-point'
    return f'{bits}-bit' if bits > 16 else None


def _other_problem(path: str | os.PathLike[str]) -> str | None:
    """Of a file that is neither a JPEG nor a PNG: too many pixels, or some that are not read well."""
    from PIL import Image

    if problem := pixel_problem(path):
        return problem
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            with Image.open(path) as image:
                width, height = image.size
    except Image.DecompressionBombError:
        return 'too many pixels'
    except (OSError, SyntaxError, ValueError):
        return None  # the decoder judges
    return f'{width} x {height} are too many pixels' if width * height > SOUND_PIXELS else None


def image_headers(
    paths: Iterable[str], *, workers: int | None = None, progress: bool = False
) -> Iterator[ImageHeader | str]:
    """The headers of many images, in the order of the paths, or what is wrong with a file.

    They are read by so many workers; by default as many as there are cores, and none for few files.
    What is wrong is one line, without the path.
    """
    paths = list(paths)
    if workers is None:
        workers = default_workers() if len(paths) > MIN_SHARED else 1
    with (
        map_ordered(_headers, chunked(paths, CHUNK), workers=workers) as chunks,
        progress_bar(total=len(paths), desc='image sizes', unit='file', show=progress) as bar,
    ):
        for headers in chunks:
            yield from headers
            bar.update(len(headers))


def jpeg_size(head: bytes) -> tuple[int, int] | None:
    """(width, height) as an image reader sees them, from the first bytes of a JPEG, or all.

    None if the bytes end before the size, or for an unusual file, which a library may read.
    """
    header = _jpeg_header(head)
    return header and header.size


def _jpeg_header(head: bytes) -> ImageHeader | None:
    """Size and orientation from the first bytes of a JPEG.

    Walks from segment to segment (FF, marker, length, content) up to the frame header; None if the
    bytes end before it, or for an unusual file, which a library may read.
    """
    if not head.startswith(b'\xff\xd8\xff'):
        return None
    position, orientation = 2, None
    try:
        while head[position] == 0xFF:
            marker = head[position + 1]
            if marker in _SKIPPED:
                end = position + 2 + (head[position + 2] << 8 | head[position + 3])
                if marker == _APP1 and orientation is None:
                    if end > len(head):
                        return None
                    orientation = _orientation(head[position + 10 : end])
                position = end
            elif marker in _FRAMES:
                height = head[position + 5] << 8 | head[position + 6]
                width = head[position + 7] << 8 | head[position + 8]
                if head[position + 4] != 8 or not height:  # bits; 0: stated after the content
                    return None
                return _upright(width, height, orientation or 1)
            elif marker == 0xFF:  # padding
                position += 1
            else:
                return None
    except IndexError:
        pass
    return None


def _upright(width: int, height: int, orientation: int) -> ImageHeader:
    sides = (height, width) if orientation >= 5 else (width, height)
    return ImageHeader(*sides, orientation)


def _headers(paths: list[str]) -> list[ImageHeader | str]:
    return [_header_or_problem(path) for path in paths]


def _header_or_problem(path: str) -> ImageHeader | str:
    try:
        return image_header(path)
    except ValueError as error:
        return str(error)


def _header_otherwise(file: int, head: bytes) -> ImageHeader:
    """The header of a PNG, or of a JPEG with a long header."""
    if head.startswith(b'\x89PNG\r\n\x1a\n\0\0\0\rIHDR') and len(head) >= 33:
        return _png_header(file, head)
    if head.startswith(b'GIF8'):
        raise ValueError('a GIF; OpenCV reads those from version 4.12 on')
    if not head.startswith(b'\xff\xd8\xff'):
        raise ValueError('neither a JPEG nor a PNG' if head else 'an empty file')
    while len(head) < MAX_HEAD_BYTES and (piece := os.read(file, MORE_BYTES)):
        head += piece
        if header := _jpeg_header(head):
            return header
    return _header_by_pillow(file)


def _png_header(file: int, head: bytes) -> ImageHeader:
    """Walk from chunk to chunk (length, type, content, checksum): EXIF data may come last."""
    width, height = int.from_bytes(head[16:20], 'big'), int.from_bytes(head[20:24], 'big')
    position = 33
    while len(start := os.pread(file, 8, position)) == 8:
        length = int.from_bytes(start[:4], 'big')
        if start[4:] == b'eXIf':
            exif = os.pread(file, min(length, MAX_HEAD_BYTES), position + 8)
            return _upright(width, height, _orientation(exif))
        position += 12 + length
    return ImageHeader(width, height)


def _orientation(exif: bytes) -> int:
    """The orientation in EXIF data (a TIFF header with its first directory); 1 if there is none."""
    order = {b'II*\0': 'little', b'MM\0*': 'big'}.get(exif[:4])
    if order is None:
        return 1
    start = int.from_bytes(exif[4:8], order)
    entries = int.from_bytes(exif[start : start + 2], order)
    for position in range(start + 2, min(start + 2 + 12 * entries, len(exif) - 9), 12):
        if int.from_bytes(exif[position : position + 2], order) == EXIF_ORIENTATION:
            value = int.from_bytes(exif[position + 8 : position + 10], order)
            return value if 1 <= value <= 8 else 1
    return 1


def _header_by_pillow(file: int) -> ImageHeader:
    """The header of an unusual JPEG."""
    from PIL import Image  # seldom needed, and slow to import

    try:
        with os.fdopen(os.dup(file), 'rb') as stream, warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of damaged EXIF data, which do not count
            stream.seek(0)
            with Image.open(stream, formats=('JPEG',)) as image:
                width, height = image.size
                orientation = _orientation(image.info.get('exif', b'')[6:])
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise ValueError('a JPEG without a readable header') from None
    return _upright(width, height, orientation)
