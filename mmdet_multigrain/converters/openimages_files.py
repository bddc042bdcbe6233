"""Where the files of an Open Images release are, when only their folder is named.

The names are the release's own, perhaps with a prefix (`oidv6-train-annotations-bbox.csv`)::

    ROOT/train-annotations-bbox.csv, ROOT/validation-annotations-bbox.csv, ...
    ROOT/class-descriptions-boxable.csv, ROOT/bbox_labels_600_hierarchy.json    (optional)
    ROOT/train-annotations-human-imagelabels-boxable.csv, ...                   (optional)
    ROOT/train/*.jpg, ROOT/validation/*.jpg, ...
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from mmdet_multigrain.utils.errors import ConverterError

SPLITS = ('train', 'validation', 'test')
BOXES = 'annotations-bbox.csv'
DESCRIPTIONS = 'class-descriptions-boxable.csv'
HIERARCHY = 'hierarchy.json'
LABELS = ('annotations-human-imagelabels-boxable.csv', 'annotations-human-imagelabels.csv')
LAYOUT = 'ROOT/train-annotations-bbox.csv, ROOT/train/*.jpg, the same for validation'


def split_of(path: Path) -> str:
    """The split that is in the name of a file; a ConverterError if there is none, or several."""
    name = path.name.casefold()
    found = [split for split in SPLITS if re.search(rf'(?<![a-z]){split}(?![a-z])', name)]
    if len(found) != 1:
        raise ConverterError(
            f'{path}: its name does not say which split it is; add --split '
            f'{", ".join(SPLITS[:-1])} or {SPLITS[-1]}'
        )
    return found[0]


def find_boxes(root: Path) -> dict[str, Path]:
    """The box files in a folder, by split; a ConverterError if there is none, or two of one."""
    found: dict[str, Path] = {}
    for path in _ending(root, BOXES):
        other = found.setdefault(split_of(path), path)
        if other != path:
            raise ConverterError(
                f'{path}: {other.name} is of the same split; name the one to '
                'convert instead of the folder'
            )
    if not found:
        raise ConverterError(f'{root}: no file *-{BOXES} in it; the release has {LAYOUT}')
    return {split: found[split] for split in SPLITS if split in found}


def find_one(root: Path, ending: str) -> Path | None:
    """The file in a folder whose name ends so, or None; a ConverterError if there are several."""
    found = _ending(root, ending)
    if len(found) > 1:
        raise ConverterError(
            f'{found[0]}: {found[1].name} is next to it; say which one is meant '
            f'(--{"hierarchy" if ending == HIERARCHY else "descriptions"})'
        )
    return found[0] if found else None


def find_labels(root: Path, split: str) -> Path:
    """The file of a split's verified image labels; a ConverterError if there is not just one."""
    found = [path for end in LABELS for path in _ending(root, end) if split_of(path) == split]
    if len(found) != 1:
        which = f'{found[0].name} and {found[1].name}' if found else f'no file {split}-{LABELS[0]}'
        raise ConverterError(f'{root}: {which} in it; name the file (--image-labels CSV)')
    return found.pop()


def find_images(root: Path, split: str, images: Path | None = None) -> Path:
    """The folder of a split's images: `root/split`, else `images/split` or `images`.

    Raises:
        ConverterError: There is no such folder.
    """
    if images is None:
        if not (root / split).is_dir():
            raise ConverterError(
                f'{root / split}: no such folder of images; name it (--images '
                'DIR), or a file of their sizes (--image-sizes CSV)'
            )
        return root / split
    if not images.is_dir():
        raise ConverterError(f'{images}: no such folder of images; check --images')
    return images / split if (images / split).is_dir() else images


def name_and_size(path: Path, suffix: str) -> str:
    """What distinguishes a file from an older one with the same name."""
    if path.is_dir():
        count = sum(name.endswith(suffix) for name in os.listdir(path))
        return f'{path.name}, {count} images'
    return f'{path.name}, {path.stat().st_size if path.exists() else 0} bytes'


def _ending(root: Path, ending: str) -> list[Path]:
    """Files in a folder whose names end so, compressed ones too."""
    return sorted(
        path
        for path in root.iterdir()
        if not path.name.startswith('.')
        and path.name.casefold().removesuffix('.gz').endswith(ending)
    )
