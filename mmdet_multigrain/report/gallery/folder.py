"""Writes the pictures of runs into a folder, with an index of all of them."""

from __future__ import annotations

import contextlib
import csv
import itertools
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from PIL import Image

from mmdet_multigrain.evaluation import GroundTruth
from mmdet_multigrain.evaluation.functional.error_analysis import Kind
from mmdet_multigrain.utils.files import write_whole
from mmdet_multigrain.utils.table import Column, Table
from mmdet_multigrain.visualization.pictures import jpeg

from . import drawing
from .cases import Case
from .photos import Photos

INDEX, PAGE = 'index.csv', 'index.html'
_INDEX_COLUMNS = (
    'file kind run image_id predicted true answer score iou picture x y width height'.split()
)
SHEET, SIDE_BY_SIDE = 'sheet.jpg', 'side_by_side'
_OURS = re.compile(r'(\w[\w.-]*/){1,2}\w[\w.-]*\.jpg', re.ASCII)
_LONGEST = 60  # letters of a photo's name in that of a picture


@dataclass(frozen=True)
class Gallery:
    """Examples of one kind of error of one run."""

    run: str
    kind: Kind
    total: int  # how many cases there are
    cases: Sequence[Case]  # those that are shown


@dataclass(frozen=True)
class Picture:
    """A written picture."""

    path: PurePosixPath  # relative to the index
    caption: str  # what it shows
    classes: tuple[int, ...] = ()  # labels of the predicted and true classes on it, ascending

    @property
    def link(self) -> str:
        """The path as a link."""
        return quote(str(self.path))


@dataclass(frozen=True)
class GalleryPage:
    """The written pictures of a `Gallery`."""

    kind: str
    total: int  # how many cases there are
    sheet: Picture
    # one for each case shown, and where it is on the contact sheet
    pictures: tuple[tuple[Picture, drawing.Area], ...]


@dataclass
class PictureFolder:
    """Draws pictures into a folder and keeps the rows of its index.

    Paths are relative to the folder, so that it can be moved and opened offline.
    """

    out: Path
    photos: Photos
    truth: GroundTruth  # ground truth of the runs
    file_names: Sequence[str]  # of the photos, by index in the ground truth
    runs: Sequence[str]
    classes: drawing.ClassStyle  # names and colors of the classes
    width: int  # of a photo in pixels
    labels: Collection[int]  # classes whose ground truth is shown

    def __post_init__(self) -> None:
        folders = _unique([slug(name) for name in self.runs])
        self._folders = dict(zip(self.runs, folders, strict=True))
        self._rows: list[tuple[Any, ...]] = []
        self._written: set[str] = set()
        self.classes_shown: set[int] = set()  # labels of the predicted and true classes on pictures

    @property
    def num_written(self) -> int:
        """How many pictures were written, contact sheets included."""
        return len(self._written)

    def draw_photo(
        self, number: int, image: int, runs: Mapping[str, Sequence[Case]]
    ) -> list[Picture]:
        """Write one photo with its cases by run, side by side; nothing if it cannot be read.

        The file name starts with `number`; `image` is the index of the photo.
        """
        name = self.file_names[image]
        photo = self.photos.read(name)
        if photo is None:
            return []
        path = PurePosixPath(SIDE_BY_SIDE, f'{number:03}_{slug(name)}.jpg')
        marks = drawing.truth_marks(self.truth, image, self.classes, labels=self.labels)
        picture = drawing.side_by_side(photo, marks, runs, self.classes, width=self.width)
        self._write(path, picture)
        for run, cases in runs.items():
            for case in cases:
                self._list(case, run, path)
        classes = {label for cases in runs.values() for case in cases for label in case.labels}
        return [Picture(path, f'{number}: {name}', tuple(sorted(classes)))]

    def draw_gallery(self, gallery: Gallery, *, done: Callable[[], object]) -> list[GalleryPage]:
        """Write the pictures and the contact sheet of one kind; nothing if no photo can be read.

        `done` is called after each case.
        """
        kind, run = gallery.kind.label, gallery.run
        folder = PurePosixPath(self._folders[run], slug(kind))
        cells, pictures = [], []
        for number, case in enumerate(gallery.cases, start=1):
            name = self.file_names[case.image]
            photo = self.photos.read(name)
            if photo is not None:
                path = folder / f'{number:03}_{slug(name)}.jpg'
                detail = _detail(case)
                more = f'{drawing.superclass_label(case, self.classes)}. {detail}'
                caption = [name, f'{run}: {kind}. {more}']
                look = {'width': self.width, 'caption': caption}
                self._write(path, drawing.draw_case(photo, case, self.classes, **look))
                self._list(case, run, path)
                caption = [f'{number}: {name}', detail]
                cells.append(drawing.draw_cell(photo, case, self.classes, caption=caption))
                text = f'{number}: {drawing.case_label(case, self.classes)}. {more}. {name}'
                pictures.append(Picture(path, text, tuple(sorted(case.labels))))
            done()
        if not cells:
            return []
        sheet = Picture(folder / SHEET, f'{run}: {kind}')
        caption = [sheet.caption, f'{len(cells)} of {gallery.total}']
        whole, areas = drawing.contact_sheet(cells, caption=caption)
        self._write(sheet.path, whole)
        return [GalleryPage(kind, gallery.total, sheet, tuple(zip(pictures, areas, strict=True)))]

    def finish(self, page: str) -> None:
        """Write the index, and remove pictures that only the previous one lists."""
        old = _listed(self.out)
        index = Table([Column(key) for key in _INDEX_COLUMNS], self._rows)
        write_whole(self.out / INDEX, index.csv().encode())
        write_whole(self.out / PAGE, page.encode())
        for path in old - self._written:
            with contextlib.suppress(OSError):
                (self.out / path).unlink()
                for folder in PurePosixPath(path).parents[:-1]:
                    (self.out / folder).rmdir()  # if it is empty

    def _write(self, path: PurePosixPath, picture: Image.Image) -> None:
        write_whole(self.out / path, jpeg(picture))
        self._written.add(str(path))

    def _list(self, case: Case, run: str, picture: PurePosixPath) -> None:
        labels, scores = (case.predicted, case.true), (case.score, case.iou)
        row = (
            self.file_names[case.image],
            case.kind.label,
            run,
            self.truth.image_ids[case.image],
            *(None if label is None else self.classes.names[label] for label in labels),
            case.answer,
            *(None if value is None else round(value, 4) for value in scores),
            str(picture),
            *(round(value, 2) for value in case.box),
        )
        self._rows.append(row)
        self.classes_shown |= case.labels


def slug(name: str) -> str:
    """A name in letters that file systems and links allow; without folder and suffix."""
    stem = name.rsplit('/', 1)[-1]
    stem = re.sub(r'\.(jpe?g|png|bmp|webp)$', '', stem, flags=re.IGNORECASE)
    return re.sub(r'[^A-Za-z0-9.-]+', '_', stem)[:_LONGEST].strip('._-') or 'unnamed'


def _detail(case: Case) -> str:
    size = f'{case.box[2]:.0f} x {case.box[3]:.0f} pixels'
    return size if case.iou is None else f'IoU {case.iou:.2f}, {size}'


def _unique(names: Sequence[str]) -> list[str]:
    """Number the names that are taken, also where file systems ignore case."""
    taken, unique = {SIDE_BY_SIDE}, []
    for name in names:
        candidates = (f'{name}_{number}' if number else name for number in itertools.count())
        unique.append(next(one for one in candidates if one.casefold() not in taken))
        taken.add(unique[-1].casefold())
    return unique


def _listed(out: Path) -> set[str]:
    """Pictures and contact sheets that an index lists, as far as their names look like ours."""
    try:
        rows = [*csv.DictReader((out / INDEX).read_text('utf-8').splitlines())]
    except (OSError, ValueError, csv.Error):
        return set()
    pictures = {str(row.get('picture')) for row in rows}
    sheets = {str(PurePosixPath(path).parent / SHEET) for path in pictures}
    return {path for path in pictures | sheets if _OURS.fullmatch(path)}
