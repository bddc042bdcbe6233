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

from PIL import Image

from mmdet_multigrain.evaluation import GroundTruth
from mmdet_multigrain.evaluation.functional.error_analysis import Kind
from mmdet_multigrain.utils.files import write_whole
from mmdet_multigrain.visualization.pictures import jpeg

from . import drawing
from .cases import Case
from .index import GalleryPage, Picture, case_row, case_table
from .photos import Photos

INDEX, PAGE = 'index.csv', 'index.html'
SHEET, SIDE_BY_SIDE = 'sheet.jpg', 'side_by_side'
_OURS = re.compile(r'(\w[\w.-]*/){1,2}\w[\w.-]*\.jpg', re.ASCII)
_LONGEST = 60  # letters of a photo's name in that of a picture


@dataclass(frozen=True)
class Gallery:
    """Examples of one kind of error of one run.

    Attributes:
        run: Name of the run.
        kind: The kind.
        total: How many cases there are.
        cases: Those that are shown.
    """

    run: str
    kind: Kind
    total: int
    cases: Sequence[Case]


class PictureFolder:
    """Draws pictures into a folder and keeps the rows of its index.

    Args:
        out: The folder.
        photos: The photos.
        truth: Ground truth of the runs.
        file_names: Of the photos, by index in the ground truth.
        runs: Names of the runs.
        classes: Names and colors of the classes.
        width: Of a photo in pixels.
        labels: Classes whose ground truth is shown.
    """

    def __init__(
        self,
        out: Path,
        *,
        photos: Photos,
        truth: GroundTruth,
        file_names: Sequence[str],
        runs: Sequence[str],
        classes: drawing.ClassStyle,
        width: int,
        labels: Collection[int],
    ) -> None:
        self._out, self._photos, self._truth, self._names = out, photos, truth, file_names
        self._classes, self._width, self._labels = classes, width, labels
        self._folders = dict(zip(runs, _unique([slug(name) for name in runs]), strict=True))
        self._rows: list[tuple[Any, ...]] = []
        self._written: set[str] = set()

    @property
    def num_written(self) -> int:
        """How many pictures were written, contact sheets included."""
        return len(self._written)

    def draw_photo(
        self, number: int, image: int, runs: Mapping[str, Sequence[Case]]
    ) -> list[Picture]:
        """Write one photo side by side; nothing if it cannot be read.

        Args:
            number: Starts the file name.
            image: Index of the photo.
            runs: Its cases by name of the run.
        """
        name = self._names[image]
        photo = self._photos.read(name)
        if photo is None:
            return []
        path = PurePosixPath(SIDE_BY_SIDE, f'{number:03}_{slug(name)}.jpg')
        marks = drawing.truth_marks(self._truth, image, self._classes, labels=self._labels)
        self._write(
            path, drawing.side_by_side(photo, marks, runs, self._classes, width=self._width)
        )
        for run, cases in runs.items():
            for case in cases:
                self._list(case, run, path)
        return [Picture(path, f'{number}: {name}')]

    def draw_gallery(self, gallery: Gallery, *, done: Callable[[], object]) -> list[GalleryPage]:
        """Write the pictures and the contact sheet of one kind; nothing if no photo can be read.

        Args:
            gallery: What to show.
            done: Called after each case.
        """
        kind, run = gallery.kind.label, gallery.run
        folder = PurePosixPath(self._folders[run], slug(kind))
        cells, pictures = [], []
        for number, case in enumerate(gallery.cases, start=1):
            name = self._names[case.image]
            photo = self._photos.read(name)
            if photo is not None:
                path = folder / f'{number:03}_{slug(name)}.jpg'
                detail = _detail(case)
                caption = [name, f'{run}: {kind}. {detail}']
                picture = drawing.draw_case(
                    photo, case, self._classes, width=self._width, caption=caption
                )
                self._write(path, picture)
                self._list(case, run, path)
                caption = [f'{number}: {name}', detail]
                cells.append(drawing.draw_cell(photo, case, self._classes, caption=caption))
                text = f'{number}: {drawing.case_label(case, self._classes)}. {detail}. {name}'
                pictures.append(Picture(path, text))
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
        old = _listed(self._out)
        write_whole(self._out / INDEX, case_table(self._rows).csv().encode())
        write_whole(self._out / PAGE, page.encode())
        for path in old - self._written:
            with contextlib.suppress(OSError):
                (self._out / path).unlink()
                for folder in PurePosixPath(path).parents[:-1]:
                    (self._out / folder).rmdir()  # if it is empty

    def _write(self, path: PurePosixPath, picture: Image.Image) -> None:
        write_whole(self._out / path, jpeg(picture))
        self._written.add(str(path))

    def _list(self, case: Case, run: str, picture: PurePosixPath) -> None:
        photo = {
            'file_name': self._names[case.image],
            'image_id': self._truth.image_ids[case.image],
        }
        self._rows.append(case_row(case, self._classes, run=run, picture=picture, **photo))


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
