"""Writes a synthetic DeepFashion2 in the raw layout of the release.

    OUT/{train,validation}/image/000001.jpg ...
    OUT/{train,validation}/annos/000001.json ...
    OUT/synthetic.json      the arguments that the set was made with

Only files and folders are handled here: what a picture shows is in `synthetic_scene`.
"""

from __future__ import annotations

import functools
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2

from mmdet_multigrain.utils.errors import ConverterError
from mmdet_multigrain.utils.files import dump_json, load_json, write_whole
from mmdet_multigrain.utils.parallel import map_ordered
from mmdet_multigrain.utils.progress import progress_bar

from .synthetic_scene import DIFFICULTIES, render_scene

DRAWING_VERSION = 2  # raise it when the same arguments no longer give the same pictures
MANIFEST = 'synthetic.json'
MIN_SIDE = 64  # pixels; below that the details that tell the classes apart are gone


@dataclass(frozen=True)
class SyntheticSpec:
    """The arguments that fix every byte of a set (with one version of the libraries).

    Raises:
        ConverterError: An argument is out of range.
    """

    num_train: int = 1500  # pictures in the training split
    num_val: int = 300  # pictures in the validation split
    width: int = 96  # of a picture, in pixels
    height: int = 120  # of a picture, in pixels
    difficulty: str = 'easy'  # a key of `DIFFICULTIES`
    seed: int = 0  # of all random numbers, not negative

    def __post_init__(self) -> None:
        limits = dict(num_train=0, num_val=0, seed=0, width=MIN_SIDE, height=MIN_SIDE)
        for name, least in limits.items():
            if getattr(self, name) < least:
                raise ConverterError(f'{name} is {getattr(self, name)}; give at least {least}')
        if self.difficulty not in DIFFICULTIES:
            raise ConverterError(
                f'there is no difficulty {self.difficulty!r}; choose from {", ".join(DIFFICULTIES)}'
            )

    def counts(self) -> dict[str, int]:
        """Pictures by split, under the release's split names."""
        return {'train': self.num_train, 'validation': self.num_val}


def generate(
    out: str | Path,
    spec: SyntheticSpec,
    *,
    overwrite: bool = False,
    workers: int = 1,
    progress: bool = True,
) -> int:
    """Write the set, or what is still missing of it; returns the number of pictures written.

    Every file is written atomically, and picture i depends only on `spec` and i: an interrupted
    call is completed by the same call, with any number of workers (processes). `overwrite` replaces
    a set that an earlier call wrote to `out`, with the annotation files converted from it. Other
    files are never replaced.

    Raises:
        ConverterError: `out` holds something else.
        FileError: A file cannot be written.
        WorkerError: A worker process was killed.
    """
    out = Path(out)
    manifest = {'drawing_version': DRAWING_VERSION, **asdict(spec)}
    try:
        _claim_folder(out, manifest, overwrite=overwrite)
        missing = [
            (split, index)
            for split, count in spec.counts().items()
            for index in _missing(out / split, count)
        ]
    except OSError as error:
        raise ConverterError(
            f'{error.filename or out}: {error.strerror}; name another folder'
        ) from None
    if not missing:
        return 0
    write = functools.partial(_write_picture, out, spec, one_thread=workers > 1)
    options = dict(total=len(missing), desc='drawing', unit='picture', show=progress)
    with map_ordered(write, missing, workers=workers) as written:
        for _ in progress_bar(written, **options):
            pass
    return len(missing)


def _claim_folder(out: Path, manifest: dict[str, Any], *, overwrite: bool) -> None:
    """Make the folders and note the arguments, or refuse a folder that holds something else."""
    path = out / MANIFEST
    if path.exists():
        found = _read_manifest(path)
        if overwrite:
            _remove_set(out)
        elif found != manifest:
            keys = [key for key, value in manifest.items() if found.get(key) != value]
            changed = [f'{key} {found.get(key)}' for key in keys]
            raise ConverterError(
                f'{out}: holds a set made with other arguments ({", ".join(changed)}); '
                'replace it with --overwrite, or name another folder'
            )
    elif out.exists() and any(out.iterdir()):
        raise ConverterError(
            f'{out}: holds files that this generator did not write; name another folder'
        )
    for split in ('train', 'validation'):
        for kind in ('image', 'annos'):
            folder = out / split / kind
            folder.mkdir(parents=True, exist_ok=True)
            for left_over in folder.glob('.*.tmp'):  # of a killed process
                left_over.unlink()
    write_whole(path, dump_json(manifest))


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        found = load_json(path)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def _remove_set(out: Path) -> None:
    for split in ('train', 'validation'):
        if (out / split).exists():
            shutil.rmtree(out / split)
        (out / 'annotations' / f'{split}.json').unlink(missing_ok=True)


def _missing(folder: Path, count: int) -> list[int]:
    """Numbers of the pictures of which the image or the annotation is not there."""
    images, annos = (set(os.listdir(folder / kind)) for kind in ('image', 'annos'))
    return [
        index
        for index in range(1, count + 1)
        if f'{index:06d}.jpg' not in images or f'{index:06d}.json' not in annos
    ]


def _write_picture(
    out: Path, spec: SyntheticSpec, key: tuple[str, int], *, one_thread: bool
) -> None:
    if one_thread:
        cv2.setNumThreads(1)  # each worker has its core
    split, index = key
    size, difficulty = (spec.width, spec.height), DIFFICULTIES[spec.difficulty]
    image, annotation = render_scene(
        seed=spec.seed, split=split, index=index, size=size, difficulty=difficulty
    )
    _, encoded = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 92])
    write_whole(out / split / 'image' / f'{index:06d}.jpg', encoded.tobytes())
    write_whole(out / split / 'annos' / f'{index:06d}.json', dump_json(annotation))
