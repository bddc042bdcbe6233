"""Write COCO files piece by piece, and summarize conversions.

Annotations are written as they come; only the list of images is kept in memory.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import FileError
from mmdet_multigrain.utils.files import dump_json, open_whole
from mmdet_multigrain.utils.images import IMAGE_SUFFIXES
from mmdet_multigrain.utils.problems import Problems

MAX_INFO_BYTES = 1 << 16


def coco_categories(taxonomy: Taxonomy, coarse: Iterable[int] = ()) -> list[dict[str, Any]]:
    """All classes as COCO categories: id = label + 1, the superclass as `supercategory`.

    Added are coarse labels (above K), of which only the superclass is known; they have none.
    """
    names = [
        (label, name, taxonomy.superclass_of(label)) for label, name in enumerate(taxonomy.classes)
    ]
    names += [(label, taxonomy.labels.names[label], 'none') for label in coarse]
    return [{'id': label + 1, 'name': name, 'supercategory': group} for label, name, group in names]


class CocoWriter:
    """Numbers images and annotations from 1 and writes them; created by `open_coco`."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._images: list[bytes] = []
        self.num_annotations = 0

    @property
    def num_images(self) -> int:
        """Images so far."""
        return len(self._images)

    def add_all(
        self, images: Sequence[bytes], annotations: Sequence[bytes], counts: Iterable[int]
    ) -> None:
        """Add images, each with as many annotations as `counts` tells.

        Both are JSON objects (`dump_json`) without `id` and `image_id`.
        """
        image_ids = range(self.num_images + 1, self.num_images + len(images) + 1)
        self._images += [
            b'{"id":%d,%b' % (image_id, image[1:])
            for image_id, image in zip(image_ids, images, strict=True)
        ]
        owners = itertools.chain.from_iterable(map(itertools.repeat, image_ids, counts))
        ids = itertools.count(self.num_annotations + 1)
        pieces = [
            b'{"id":%d,"image_id":%d,%b' % (number, owner, annotation[1:])
            for annotation, owner, number in zip(annotations, owners, ids, strict=False)
        ]
        if pieces:
            self._file.write((b',\n' if self.num_annotations else b'\n') + b',\n'.join(pieces))
        self.num_annotations += len(pieces)


@contextlib.contextmanager
def open_coco(
    path: str | os.PathLike[str],
    info: Mapping[str, Any],
    taxonomy: Taxonomy,
    *,
    coarse: Iterable[int] = (),
) -> Iterator[CocoWriter]:
    """Write a COCO file atomically: complete, or not at all.

    The keys are info, licenses, categories, annotations and images; `info` is the first line, so
    that it can be read without the rest. `coarse` are labels above K that boxes have.

    Raises:
        FileError: The file cannot be written.
    """
    head = b'{"info":%b,\n"licenses":[],\n"categories":%b,\n"annotations":['
    with open_whole(path) as file:
        file.write(head % (dump_json(dict(info)), dump_json(coco_categories(taxonomy, coarse))))
        writer = CocoWriter(file)
        yield writer
        file.write(b'],\n"images":[\n%b]}\n' % b',\n'.join(writer._images))


def read_info(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The `info` of a file that `open_coco` wrote, from its first line; None without one."""
    try:
        with open(path, 'rb') as file:
            line = file.readline(MAX_INFO_BYTES)
        content = json.loads(line.removesuffix(b',\n') + b'}')
    except (OSError, ValueError, RecursionError):
        return None
    info = content.get('info') if isinstance(content, dict) else None
    return info if isinstance(info, dict) else None


def is_up_to_date(
    path: str | os.PathLike[str], info: Mapping[str, Any], sources: Iterable[str | os.PathLike[str]]
) -> bool:
    """Whether a file was made with the same `info` after the last change of its sources.

    Any change that the system records counts, such as copying an older file over a newer one; in a
    folder, changes of its entries count too. The time of the file, which `open_coco` wrote, must be
    that of the conversion's start.

    Raises:
        FileError: The file exists, and is not of such a conversion.
    """
    found = read_info(path)
    if found != info:
        if os.path.exists(path) and (found or {}).get('description') != info['description']:
            raise FileError(
                f'{path}: already exists, from another command; name another file, or replace it '
                '(--force)'
            )
        return False
    made = os.stat(path).st_mtime_ns
    try:
        return all(changed < made for source in sources for changed in _changes(source, path))
    except OSError:  # the conversion will report it
        return False


def _changes(source: str | os.PathLike[str], path: str | os.PathLike[str]) -> Iterator[int]:
    is_around = Path(os.path.realpath(source)) in Path(os.path.realpath(path)).parents
    if not is_around:
        yield os.stat(source).st_ctime_ns
    if os.path.isdir(source):
        with os.scandir(source) as entries:
            for entry in entries:
                if not is_around or Path(entry.name).suffix.lower() in IMAGE_SUFFIXES:
                    yield entry.stat().st_ctime_ns


@dataclass
class ConversionSummary:
    """What a conversion wrote and left out."""

    split: str  # `train` or `validation`
    out_file: Path
    taxonomy: Taxonomy
    num_images: int = 0
    boxes: Counter[int] = field(default_factory=Counter)  # per label
    images: Counter[int] = field(default_factory=Counter)  # with at least one box, per label
    problems: Problems = field(default_factory=Problems)  # what was left out
    up_to_date: bool = False  # the file existed, from the same data; nothing was written

    def __str__(self) -> str:
        if self.up_to_date:
            return f'{self.split}: {self.out_file} is up to date (--force converts it again)'
        width = max(map(len, ('superclass', *self.taxonomy.group_names(0)))) + 2
        lines = [
            f'{self.split}: {self.num_images:,} images, {self.boxes.total():,} boxes '
            f'-> {self.out_file}',
            f'  {"class":<22}{"superclass":<{width}}{"boxes":>9}{"images":>9}',
        ]
        names = dict(enumerate(self.taxonomy.classes))
        rows = [(label, name, self.taxonomy.superclass_of(label)) for label, name in names.items()]
        coarse = [label for label in sorted(self.boxes) if label > self.taxonomy.num_classes]
        rows += [
            (label, '(superclass only)', self.taxonomy.labels.names[label]) for label in coarse
        ]
        lines += [
            f'  {name:<22}{group:<{width}}{self.boxes[label]:>9,}{self.images[label]:>9,}'
            for label, name, group in rows
        ]
        if self.problems.counts:
            lines += ['left out:', str(self.problems)]
        return '\n'.join(lines)
