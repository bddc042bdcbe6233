"""Reading the photos of a data set: sizes, damage, and which files have the same content."""

from __future__ import annotations

import functools
import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mmdet_multigrain.utils.images import image_size, image_sizes, pixel_problem
from mmdet_multigrain.utils.parallel import default_workers, map_ordered
from mmdet_multigrain.utils.progress import progress_bar

TAIL_BYTES = 1024  # of an equally large file; photos differ here, their headers may not
HASH_CHUNK = 1 << 20


@dataclass(frozen=True)
class Photo:
    """What is known of a photo."""

    path: str  # the file
    # (width, height) as OpenCV reads it, or None if it cannot be read
    size: tuple[int, int] | None = None
    problem: str = ''  # why not; nothing if the file is not there at all
    turned: bool = False  # EXIF says that the sides are swapped

    @property
    def is_absent(self) -> bool:
        """Whether there is no such file."""
        return self.size is None and not self.problem


def read_photos(
    folder: str | os.PathLike[str],
    stated: Mapping[str, tuple[Any, Any]],
    *,
    workers: int | None = None,
    full_decode: bool = False,
    progress: bool = False,
) -> dict[str, Photo]:
    """Read the sizes of the photos of a file, and what is wrong with them.

    Args:
        folder: What file names are relative to.
        stated: (width, height) as the file has it, by file name.
        workers: Processes; default: as many as there are cores.
        full_decode: Decode the photos, which finds truncated ones; else read headers only.
        progress: Show a progress bar.

    Returns:
        By file name.
    """
    paths = [os.path.join(folder, name) for name in stated]
    if full_decode:
        workers = default_workers() if workers is None else workers
        with map_ordered(_decoded_size, paths, workers=workers) as results:
            bar = progress_bar(
                results, total=len(paths), desc='decoding', unit='file', show=progress
            )
            sizes = list(bar)
    else:
        sizes = image_sizes(paths, workers=workers, progress=progress)
    return {
        name: _photo(path, size, stated[name])
        for name, path, size in zip(stated, paths, sizes, strict=True)
    }


def _photo(path: str, size: tuple[int, int] | str, stated: tuple[Any, Any]) -> Photo:
    if isinstance(size, str) and os.path.isfile(path):
        size = _other_format(path) or size
    if isinstance(size, str):
        return Photo(path, problem=size if os.path.exists(path) else '')
    return Photo(path, size, turned=stated == size[::-1] != size and _is_turned(path, size))


def _decoded_size(path: str) -> tuple[int, int] | str:
    """The size of a photo that can be decoded to its end, or what is wrong with it."""
    from PIL import Image

    try:
        size: tuple[int, int] | str = image_size(path)
        with Image.open(path) as image:
            image.load()  # OpenCV takes a truncated JPEG and fills it up with gray
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if not os.path.isfile(path) or (size := _other_format(path) or '') == '':
            return ' '.join(str(error).replace(path, 'the file').split())
        return size
    return size if _opencv_size(path) == size else 'OpenCV cannot decode it'


def _other_format(path: str) -> tuple[int, int] | str | None:
    """The size of a photo that is not a JPEG or PNG but that OpenCV reads (WebP, BMP, TIFF).

    Or what is wrong with its pixels.
    """
    with open(path, 'rb') as file:
        head = file.read(8)
    if head.startswith((b'\xff\xd8', b'\x89PNG')):
        return None
    return pixel_problem(path) or _opencv_size(path)


def _opencv_size(path: str) -> tuple[int, int] | None:
    import cv2  # slow to import
    import numpy as np

    cv2.setNumThreads(1)
    content = np.fromfile(path, np.uint8)
    try:
        image = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    except cv2.error:
        return None
    return None if image is None else image.shape[1::-1]


def _is_turned(path: str, size: tuple[int, int]) -> bool:
    """Whether an upright photo of this size lies on its side in the file."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.size == size[::-1]  # Pillow does not turn it
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False


# ------------------------------------------------------------------ equal content


def equal_files(
    first: Iterable[str], second: Iterable[str], *, progress: bool = False
) -> Iterator[tuple[str, str]]:
    """Pairs of files with the same bytes, one of each collection.

    Sizes are compared first, then the last bytes of equally large files, then all bytes of those
    that are still similar. A file in both collections is a pair with itself.
    """
    groups = [(list(first), list(second))]
    for key, name in (
        (os.path.getsize, 'file sizes'),
        (_tail, 'file ends'),
        (_content, 'file contents'),
    ):
        total = sum(len(a) + len(b) for a, b in groups)
        with progress_bar(total=total, desc=name, unit='file', delay=1, show=progress) as bar:
            groups = [part for group in groups for part in _split(group, key, bar.update)]
    for of_first, of_second in groups:
        # Copies within one collection are no concern here: each is shown with one counterpart.
        yield from ((path, of_second[0]) for path in of_first)


def _split(
    group: tuple[list[str], list[str]], key: Callable[[str], Hashable], update: Callable[[], Any]
) -> list[tuple[list[str], list[str]]]:
    """Divide a pair of lists by a key; parts without files of both lists drop out."""
    parts: dict[Hashable, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for side, paths in enumerate(group):
        for path in paths:
            update()
            try:
                parts[key(path)][side].append(path)
            except OSError:
                continue  # unreadable: a separate finding
    return [part for part in parts.values() if part[0] and part[1]]


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
