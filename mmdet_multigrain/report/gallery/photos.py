"""Reads the photos of a gallery, and blurs faces if asked to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from mmdet_multigrain.utils.errors import ReportError
from mmdet_multigrain.utils.problems import Problems
from mmdet_multigrain.visualization.faces import Face, blur, find_faces
from mmdet_multigrain.visualization.pictures import read_photo

from ..runs.run import Run


@dataclass
class Photos:
    """A folder of photos, read one by one; unreadable ones are counted."""

    folder: Path  # where they are
    blur: bool = False  # whether to blur detected faces
    problems: Problems = field(default_factory=Problems)  # the photos that could not be read
    faces: dict[str, list[Face]] = field(default_factory=dict)  # detected faces, by file name
    _unreadable: set[str] = field(default_factory=set)

    def check(self, names: Iterable[str]) -> None:
        """Raise a `ReportError` if none of these photos exists."""
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


def find_photos(runs: Iterable[Run], folder: Path | None = None) -> Path:
    """The folder of the photos: as given, else the first that a run was tested on.

    Raises:
        ReportError: No run knows it, or there is no such folder.
    """
    runs = list(runs)
    folders = [folder, *(run.result.run.image_folder for run in runs)]
    known = [Path(folder) for folder in folders if folder is not None]
    if not known:
        raise ReportError(
            f'{runs[0].source}: does not say where the photos are; name their folder (--images)'
        )
    if not known[0].is_dir():
        raise ReportError(f'{known[0]}: no such folder of photos; name it (--images)')
    return known[0]
