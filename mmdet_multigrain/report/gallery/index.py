"""The lists of a gallery's pictures: index.csv for programs, index.html for people.

Paths are relative to the gallery's folder, so that it can be moved and opened offline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from ..table import Column, Table
from ..templates import render_template
from .cases import Case
from .drawing import Area, ClassStyle

CSV_COLUMNS = (
    *('file', 'kind', 'run', 'image_id', 'predicted', 'true', 'score', 'iou', 'picture'),
    *('x', 'y', 'width', 'height'),
)


@dataclass(frozen=True)
class Picture:
    """A written picture: its path, relative to the index, and its caption."""

    path: PurePosixPath
    caption: str

    @property
    def link(self) -> str:
        """The path as a link."""
        return quote(str(self.path))


@dataclass(frozen=True)
class GalleryPage:
    """The pictures of one kind of error of one run.

    Attributes:
        kind: Name of the kind.
        total: How many cases there are.
        sheet: Its contact sheet.
        pictures: One for each case shown, and where it is on the contact sheet.
    """

    kind: str
    total: int
    sheet: Picture
    pictures: tuple[tuple[Picture, Area], ...]


def render_page(
    *,
    detail: Sequence[str],
    legend: Mapping[str, str],
    photos: Sequence[Picture],
    runs: Mapping[str, Sequence[GalleryPage]],
) -> str:
    """The page index.html; it loads nothing but the pictures next to it.

    Args:
        detail: How the pictures were chosen.
        legend: Color (like `#aabbcc`) of each superclass.
        photos: Side by side.
        runs: The galleries of each run by its name.
    """
    values = {'detail': detail, 'legend': legend, 'photos': photos, 'runs': runs}
    return render_template(__package__, 'browse.html.j2', **values)


def case_row(
    case: Case,
    classes: ClassStyle,
    *,
    run: str,
    file_name: str,
    image_id: Any,
    picture: PurePosixPath,
) -> tuple[Any, ...]:
    """The row of index.csv for one case on one picture."""
    labels = case.predicted, case.true
    return (
        file_name,
        case.kind.label,
        run,
        image_id,
        *(None if label is None else classes.name(label) for label in labels),
        *(None if value is None else round(value, 4) for value in (case.score, case.iou)),
        str(picture),
        *(round(value, 2) for value in case.box),
    )


def case_table(rows: Sequence[tuple[Any, ...]]) -> Table:
    """index.csv as a table."""
    return Table([Column(key) for key in CSV_COLUMNS], rows)
