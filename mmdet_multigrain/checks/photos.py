"""Reading the photos of a data set: sizes, damage, looks, and which files have the same content."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import os
from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

import numpy as np

from mmdet_multigrain.coco.looks import Look, look_at
from mmdet_multigrain.utils.images import (
    EXIF_ORIENTATION,
    ImageHeader,
    image_header,
    image_headers,
    pixel_problem,
)
from mmdet_multigrain.utils.parallel import default_workers, map_ordered
from mmdet_multigrain.utils.progress import progress_bar

MIN_SHARED = 200  # fewer photos are decoded sooner than other processes start
TAIL_BYTES = 1024  # of an equally large file; photos differ here, their headers may not
HASH_CHUNK = 1 << 20
MAX_LOOKED_AT = 10_000  # photos of a file that are decoded if not all are to be


@dataclass(frozen=True)
class Photo:
    """What is known of a photo."""

    path: str  # the file
    # (width, height) as OpenCV reads it, or None if it cannot be read
    size: tuple[int, int] | None = None
    problem: str = ''  # why not; nothing if the file is not there at all
    orientation: int = 1  # by which a reader turns the stored pixels, as in EXIF
    named: str = ''  # how the folder spells it, where that differs from `file_name`
    candidates: tuple[str, ...] = ()  # files that may be meant, if these are several
    look: Look | None = field(default=None, compare=False)  # in gray, if it was decoded

    @property
    def is_absent(self) -> bool:
        """Whether there is no such file, and none that may be meant."""
        return self.size is None and not self.problem and not self.candidates


def read_photos(
    folder: str | os.PathLike[str],
    names: Iterable[str],
    *,
    workers: int | None = None,
    full_decode: bool = False,
    progress: bool = False,
) -> dict[str, Photo]:
    """Read the sizes of photos, named once each relative to a folder, and what is wrong with them.

    With `full_decode`, all are decoded to their end, which finds truncated ones; else their headers
    are read, and up to `MAX_LOOKED_AT` are decoded to see how they look. By default as many
    processes (`workers`) do so as there are cores.
    """
    names = list(names)
    paths = [os.path.join(folder, name) for name in names]
    if full_decode:
        workers = default_workers() if workers is None else workers
        with map_ordered(_decoded_header, paths, workers=workers) as results:
            options = dict(total=len(paths), desc='decoding', unit='file', show=progress)
            headers = list(progress_bar(results, **options))
    else:
        headers = image_headers(paths, workers=workers, progress=progress)
    photos = dict(zip(names, map(_photo, paths, headers), strict=True))
    return photos | _looked_at(photos, workers, all_=full_decode, progress=progress)


def _looked_at(
    photos: dict[str, Photo], workers: int | None, *, all_: bool, progress: bool
) -> dict[str, Photo]:
    """Photos with their looks: all, or as many as are soon decoded, evenly from the list."""
    chosen = [name for name, photo in photos.items() if photo.size]
    if not all_:
        chosen = chosen[:: -(-len(chosen) // MAX_LOOKED_AT) or 1]
    if workers is None:
        workers = default_workers() if len(chosen) > MIN_SHARED else 1
    with map_ordered(look_at, [photos[name].path for name in chosen], workers=workers) as looks:
        bar = progress_bar(looks, total=len(chosen), desc='looks', unit='file', show=progress)
        return {
            name: dataclasses.replace(photos[name], look=look)
            for name, look in zip(chosen, bar, strict=True)
        }


def _photo(path: str, header: ImageHeader | str) -> Photo:
    if isinstance(header, str) and os.path.isfile(path):
        header = _other_format(path) or header
    if isinstance(header, str):
        return Photo(path, problem=header if os.path.exists(path) else '')
    return Photo(path, header.size, orientation=header.orientation)


def _decoded_header(path: str) -> ImageHeader | str:
    """The header of a photo that can be decoded to its end, or what is wrong with it."""
    from PIL import Image

    try:
        header: ImageHeader | None = image_header(path)
        with Image.open(path) as image:
            image.load()  # OpenCV takes a truncated JPEG and fills it up with gray
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        header = _other_format(path) if os.path.isfile(path) else None
        return header or ' '.join(str(error).replace(path, 'the file').split())
    image = _by_opencv(path)
    is_read = image is not None and image.shape[1::-1] == header.size
    return header if is_read else 'OpenCV cannot decode it'


def _other_format(path: str) -> ImageHeader | str | None:
    """The header of a photo that is not a JPEG or PNG but that OpenCV reads (WebP, BMP, TIFF).

    Or what is wrong with its pixels.
    """
    with open(path, 'rb') as file:
        head = file.read(8)
    if head.startswith((b'\xff\xd8', b'\x89PNG')):
        return None
    if problem := pixel_problem(path):
        return problem
    image, orientation = _by_opencv(path), _exif_orientation(path)
    if image is None:
        return None
    if orientation > 1:  # some formats are read without regard to EXIF
        stored = _by_opencv(path, turn=False)
        if stored.shape == image.shape and (stored == image).all():
            orientation = 1
    return ImageHeader(*image.shape[1::-1], orientation)


def _by_opencv(path: str, *, turn: bool = True) -> np.ndarray | None:
    import cv2  # slow to import

    cv2.setNumThreads(1)
    content = np.fromfile(path, np.uint8)
    try:
        flags = cv2.IMREAD_COLOR if turn else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        return cv2.imdecode(content, flags) if content.size else None
    except cv2.error:
        return None


def _exif_orientation(path: str) -> int:
    from PIL import Image

    try:
        with Image.open(path) as image:
            orientation = image.getexif().get(EXIF_ORIENTATION)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return 1
    return orientation if orientation in range(2, 9) else 1


# ------------------------------------------------------------------ equal content


def equal_files(paths: Iterable[str], *, progress: bool = False) -> list[list[str]]:
    """Groups of files with the same bytes, of at least two.

    Sizes are compared first, then the last bytes of equally large files, then all bytes of those
    that are still similar.
    """
    groups = [list(paths)]
    keys = {'file sizes': os.path.getsize, 'file ends': _tail, 'file contents': _content}
    for name, key in keys.items():
        parts: dict[Hashable, list[str]] = defaultdict(list)
        numbered = [(number, path) for number, group in enumerate(groups) for path in group]
        options = dict(desc=name, unit='file', delay=1, show=progress)
        for number, path in progress_bar(numbered, **options):
            with contextlib.suppress(OSError):  # unreadable: a separate finding
                parts[number, key(path)].append(path)
        groups = [part for part in parts.values() if len(part) > 1]
    return groups


def _tail(path: str) -> bytes:
    with open(path, 'rb') as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
        return file.read()


def _content(path: str) -> bytes:
    digest = hashlib.blake2b()
    with open(path, 'rb') as file:
        for chunk in iter(functools.partial(file.read, HASH_CHUNK), b''):
            digest.update(chunk)
    return digest.digest()
