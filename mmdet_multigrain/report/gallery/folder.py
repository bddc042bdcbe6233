"""Writes the pictures of runs into a folder: which file holds what, and the index of all.

The choice belongs in `galleries`, the drawing in `gallery_pictures`, the form of the index in
`gallery_index`.
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from mmdet_multigrain.evaluation import GroundTruth
from mmdet_multigrain.evaluation.functional.error_analysis import Kind
from mmdet_multigrain.utils.errors import ReportError
from mmdet_multigrain.utils.files import write_whole
from mmdet_multigrain.utils.problems import Problems
from mmdet_multigrain.visualization.faces import blur, find_faces
from mmdet_multigrain.visualization.pictures import jpeg, read_photo

from .cases import Case
from .drawing import Look, contact_sheet, draw_case, draw_cell, side_by_side, truth_marks, words
from .index import GalleryPage, Picture, case_row, case_table

INDEX, PAGE = 'index.csv', 'index.html'
SHEET, SIDE_BY_SIDE = 'sheet.jpg', 'side_by_side'
_OURS = re.compile(r'(\w[\w.-]*/){1,2}\w[\w.-]*\.jpg', re.ASCII)
_LONGEST = 60  # letters of a photo's name in that of a picture


@dataclass
class Photos:
    """A folder of photos, read one by one; those that cannot be read are counted.

    Attributes:
        folder: Where they are.
        blur: Whether to blur the faces that are found.
        problems: The photos that could not be read.
        faces: What was taken for faces, by name of the photo.
    """

    folder: Path
    blur: bool = False
    problems: Problems = field(default_factory=Problems)
    faces: dict[str, list[tuple[int, int, int, int]]] = field(default_factory=dict)
    _unreadable: set[str] = field(default_factory=set)

    def check(self, names: Iterable[str]) -> None:
        """Raise a `ReportError` if there are some to read and none of them is there."""
        names = sorted(set(names))
        if names and not any((self.folder / name).is_file() for name in names):
            raise ReportError(
                f'{self.folder}: none of the {len(names)} photos to show is there '
                f'(first: {names[0]}); name their folder (--images)'
            )

    def read(self, name: str) -> Image.Image | None:
        """A photo, or None."""
        try:
            photo = read_photo(self.folder / name)
        except ReportError as error:
            if name not in self._unreadable:
                self._unreadable.add(name)
                self.problems.add('photo left out', str(error))
            return None
        if self.blur:
            if name not in self.faces:
                self.faces[name] = find_faces(photo)
            photo = blur(photo, self.faces[name])
        return photo


@dataclass(frozen=True)
class Gallery:
    """What is shown of one kind of error of one run.

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
    """Draws pictures into a folder, and keeps what its index lists.

    Args:
        out: The folder.
        photos: The photos.
        truth: Ground truth of the runs.
        file_names: Of the photos, by position in the ground truth.
        runs: Names of the runs.
        look: Names and colors of the classes.
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
        look: Look,
        width: int,
        labels: Collection[int],
    ) -> None:
        self._out, self._photos, self._truth, self._names = out, photos, truth, file_names
        self._look, self._width, self._labels = look, width, labels
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
            number: Begins the name of the file.
            image: Position of the photo.
            runs: Its cases by name of the run.
        """
        name = self._names[image]
        photo = self._photos.read(name)
        if photo is None:
            return []
        path = PurePosixPath(SIDE_BY_SIDE, f'{number:03}_{slug(name)}.jpg')
        marks = truth_marks(self._truth, image, self._look, labels=self._labels)
        self._write(path, side_by_side(photo, marks, runs, self._look, width=self._width))
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
                detail = f'{case.box[2]:.0f} x {case.box[3]:.0f} pixels'
                if case.iou is not None:
                    detail = f'IoU {case.iou:.2f}, {detail}'
                self._write(
                    path,
                    draw_case(
                        photo,
                        case,
                        self._look,
                        width=self._width,
                        caption=[name, f'{run}: {kind}. {detail}'],
                    ),
                )
                cells.append(
                    draw_cell(photo, case, self._look, caption=[f'{number}: {name}', detail])
                )
                self._list(case, run, path)
                pictures.append(
                    Picture(path, f'{number}: {words(case, self._look)}. {detail}. {name}')
                )
            done()
        if not cells:
            return []
        sheet = Picture(folder / SHEET, f'{run}: {kind}')
        whole, areas = contact_sheet(
            cells, caption=[sheet.caption, f'{len(cells)} of {gallery.total}']
        )
        self._write(sheet.path, whole)
        return [GalleryPage(kind, gallery.total, sheet, tuple(zip(pictures, areas, strict=True)))]

    def finish(self, page: str) -> None:
        """Write the index, and remove what an earlier one lists and this one does not."""
        old = _listed(self._out)
        write_whole(self._out / INDEX, case_table(self._rows).csv().encode())
        write_whole(self._out / PAGE, page.encode())
        for path in old - self._written:
            with contextlib.suppress(OSError):
                (self._out / path).unlink()
                for folder in (self._out / path).relative_to(self._out).parents[:-1]:
                    (self._out / folder).rmdir()  # if nothing else is in it

    def _write(self, path: PurePosixPath, picture: Image.Image) -> None:
        write_whole(self._out / path, jpeg(picture))
        self._written.add(str(path))

    def _list(self, case: Case, run: str, picture: PurePosixPath) -> None:
        self._rows.append(
            case_row(
                case,
                self._look,
                run=run,
                file_name=self._names[case.image],
                image_id=self._truth.image_ids[case.image],
                picture=picture,
            )
        )


def slug(name: str) -> str:
    """A name in letters that each file system and link can have; folder and suffix dropped."""
    stem = name.rsplit('/', 1)[-1]
    stem = re.sub(r'\.(jpe?g|png|bmp|webp)$', '', stem, flags=re.IGNORECASE)
    return re.sub(r'[^A-Za-z0-9.-]+', '_', stem)[:_LONGEST].strip('._-') or 'unnamed'


def _unique(names: Sequence[str]) -> list[str]:
    """The names with numbers behind those that are taken, also where case does not count."""
    taken, unique = {SIDE_BY_SIDE}, []
    for name in names:
        candidates = (f'{name}_{number}' if number else name for number in itertools.count())
        unique.append(next(one for one in candidates if one.casefold() not in taken))
        taken.add(unique[-1].casefold())
    return unique


def _listed(out: Path) -> set[str]:
    """Pictures and contact sheets that an index lists; nothing that is not named as ours are."""
    try:
        rows = [*csv.DictReader((out / INDEX).read_text('utf-8').splitlines())]
    except (OSError, ValueError, csv.Error):
        return set()
    pictures = {str(row.get('picture')) for row in rows}
    sheets = {str(PurePosixPath(path).parent / SHEET) for path in pictures}
    return {path for path in pictures | sheets if _OURS.fullmatch(path)}
