"""The files of a run: a COCO file to evaluate on, and detections in COCO's results format.

Both are read on first use. Needs neither torch nor mmdet.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath

import numpy as np

from mmdet_multigrain.coco.annotations import AnnotationFile
from mmdet_multigrain.coco.unannotated import unannotated_classes
from mmdet_multigrain.evaluation import Detections, GroundTruth
from mmdet_multigrain.evaluation.functional.matching import suppress
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.levels import Level
from mmdet_multigrain.utils.errors import EvaluationError, ReportError
from mmdet_multigrain.utils.files import load_written_json
from mmdet_multigrain.utils.messages import show

from .doubts import shifted_ids

UNKNOWN = -2  # the number of an id that the file lacks


@dataclass(frozen=True, eq=False)
class TestSet:
    """A COCO file to evaluate on, read on first use."""

    __test__ = False  # keeps pytest from collecting it

    path: Path
    taxonomy: Taxonomy  # its classes
    # accept classes that only one side has: a result says how many boxes of each class it was made
    # on, and these are compared instead
    lenient: bool
    level: Level | None = None  # the level whose groups are the classes, if not that of the file

    @functools.cached_property
    def annotations(self) -> AnnotationFile:
        """The checked file."""
        return AnnotationFile(
            self.path,
            taxonomy=self.taxonomy if self.level is None else self.level.leaves,
            allow_missing=self.lenient,
            allow_unknown=self.lenient,
            coarse=True,
        )

    @property
    def category_ids(self) -> list[int]:
        """Category id of each class."""
        ids = self.annotations.category_ids
        if self.level is not None:
            return [ids[label] for label in self.level.labels]
        return ids[: self.taxonomy.num_classes]

    @functools.cached_property
    def boxes(self) -> GroundTruth:
        """Its boxes, with labels of any granularity."""
        dataset = self.annotations.dataset
        truth = GroundTruth.from_annotations(
            (image['id'] for image in dataset['images']),
            dataset['annotations'],
            self.annotations.category_ids,
            sets=self.annotations.taxonomy.labels.sets,
            unannotated=unannotated_classes(self.annotations),
        )
        return truth if self.level is None else truth.in_groups(self.level.index)

    @functools.cached_property
    def ground_truth(self) -> GroundTruth:
        """Its boxes, with classes as labels."""
        return self.boxes.relabel(range(self.taxonomy.num_classes))

    @functools.cached_property
    def file_names(self) -> Mapping[Hashable, str]:
        """The file of each image id, relative to the image folder."""
        return {image['id']: image['file_name'] for image in self.annotations.dataset['images']}

    @functools.cached_property
    def digest(self) -> str:
        """A hash of images, boxes and classes, whatever their order in the file."""
        truth = self.boxes
        columns = np.column_stack([truth.images, truth.labels, truth.boxes, truth.crowd])
        columns = columns.astype(np.float64)[np.lexsort(columns.T)]
        content = hashlib.sha256(repr((truth.image_ids, self.taxonomy.classes)).encode())
        content.update(columns.tobytes())
        content.update(b'' if truth.unannotated is None else truth.unannotated.tobytes())
        return content.hexdigest()


@dataclass(frozen=True, eq=False)
class DetectionsFile:
    """Detections in COCO's results format, read on first use."""

    path: Path
    test_set: TestSet  # what they are of
    # the same with classes as labels, where the test set has groups and the file classes
    of_classes: DetectionsFile | None = None

    @functools.cached_property
    def detections(self) -> Detections:
        """The boxes; see `read_detections`, and `suppress` for groups made of classes."""
        if self.of_classes is not None:
            return suppress(self.of_classes.detections, self.test_set.level.index)
        return read_detections(self.path, self.test_set)


def read_detections(path: str | os.PathLike[str], test_set: TestSet) -> Detections:
    """Read detections in COCO's results format, except those of classes without a label.

    Args:
        path: A JSON list of objects with image_id, category_id, bbox (x, y, width, height), score,
            and perhaps lineage (`Detections.lineages`).
        test_set: The images and categories that they are of.

    Raises:
        ReportError: One line with the file, if it is not such a list, or not of these images.
    """
    # NaN is read, so that the message can say how many there are.
    content = load_written_json(path, error=ReportError, fix='write it again', allow_nan=True)
    if not isinstance(content, list):
        raise ReportError(f"{path}: no list of detections in COCO's results format")
    names = {one['id']: one['name'] for one in test_set.annotations.dataset['categories']}
    label_of = dict.fromkeys(names, -1)
    label_of |= {number: label for label, number in enumerate(test_set.category_ids)}
    try:
        image_ids = [item['image_id'] for item in content]
        category_ids = [item['category_id'] for item in content]
        images, image_reading = _image_numbers(image_ids, test_set)
        labels, class_reading = _matched(
            category_ids, label_of, {'names': lambda id: names.get(id, '')}
        )
        boxes = np.array([item['bbox'] for item in content], dtype=np.float64)
        scores = np.array([item['score'] for item in content], dtype=np.float64)
        if len(content) and (boxes.shape != (len(content), 4) or scores.ndim != 1):
            raise ValueError
        with_lineage = any('lineage' in item for item in content)
    except (KeyError, TypeError, ValueError):
        raise ReportError(f'{path}: {_first_damage(content)}') from None
    for what, reading in (('image', image_reading), ('category', class_reading)):
        if reading:
            print(f'{path}: its {what} ids are {reading} of {test_set.path}; mapped')
    boxes = boxes.reshape(-1, 4)
    for what, ids, found in (
        ('an image', image_ids, images > UNKNOWN),
        ('a category', category_ids, labels > UNKNOWN),
    ):
        if not found.all():
            fix = 'name the annotation file that they were made on'
            if ids is category_ids:
                fix = _shift(category_ids, label_of) or fix
            raise ReportError(
                f'{path}: {np.count_nonzero(~found)} of {len(found)} detections have {what} id '
                f'that {test_set.path} lacks (first: {show(ids[int(found.argmin())])}); {fix}'
            )
    negative = (boxes[:, 2:] < 0).any(axis=1)
    if negative.any():
        first = int(negative.argmax())
        raise ReportError(
            f'{path}: entry {first} has bbox {show(content[first]["bbox"])}, with a '
            'width or height below 0; write x, y, width, height'
        )
    lineages = _lineages(path, content, test_set.taxonomy) if with_lineage else None
    try:
        return Detections(images, labels, boxes, scores, lineages)[labels >= 0]
    except EvaluationError as error:
        raise ReportError(f'{path}: {error}') from None


def _lineages(path: str | os.PathLike[str], content: list[dict], taxonomy: Taxonomy) -> np.ndarray:
    levels = taxonomy.hierarchy.num_levels
    for number, item in enumerate(content):
        row = item.get('lineage')
        if not (
            isinstance(row, list)
            and len(row) == levels
            and all(isinstance(value, (int, float)) for value in row)
            and all(low <= high for low, high in pairwise([0, *row, 1]))
        ):
            raise ReportError(
                f'{path}: entry {number} has lineage {show(row)}; each needs {levels} '
                'probabilities that never fall, of the class and its groups; test it again with '
                'tools/test.py --lineages'
            )
    return np.array([item['lineage'] for item in content], dtype=np.float64)


def _image_numbers(ids: list[Hashable], test_set: TestSet) -> tuple[np.ndarray, str]:
    """(N,) place of each detection's image, and what its ids are if not image ids.

    Other frameworks write ids as text, or the names of files, with or without folder and suffix.
    """
    places = {image_id: number for number, image_id in enumerate(test_set.ground_truth.image_ids)}
    paths = {id: PurePosixPath(name) for id, name in test_set.file_names.items()}
    readings: dict[str, Callable[[Hashable], str]] = {
        'file names': lambda id: str(paths[id]),
        'file names without folders': lambda id: paths[id].name,
        'file names without suffixes': lambda id: str(paths[id].with_suffix('')),
        'stems of file names': lambda id: paths[id].stem,
        'numbers in file names': lambda id: _number_text(paths[id].stem),
    }
    return _matched(ids, places, readings)


def _matched(
    ids: list[Hashable],
    number_of: Mapping[Hashable, int],
    readings: Mapping[str, Callable[[Hashable], str]],
) -> tuple[np.ndarray, str]:
    """(N,) number of each id, else of each text that one of the readings gives, and that reading.

    A reading is taken only if it finds all, and reads no two ids alike. What nothing finds is
    `UNKNOWN`.
    """
    found = np.array([number_of.get(key, UNKNOWN) for key in ids], dtype=np.int64)
    if (found > UNKNOWN).all():
        return found, ''
    for name, text_of in {'ids as text': str, **readings}.items():
        of_text = {text_of(id): number for id, number in number_of.items()}
        read = np.array([of_text.get(str(key), UNKNOWN) for key in ids], dtype=np.int64)
        if len(of_text) == len(number_of) and (read > UNKNOWN).all():
            return read, name
    return found, ''


def _shift(ids: list[Hashable], known: Iterable[int]) -> str:
    """What category ids look like if they are not those of the file, and what to do."""
    for name, meant in shifted_ids(id for id in known if id >= 0).items():
        if all(id in meant for id in ids):
            return f'they look like {name}: write the ids of the file'
    return ''


def _number_text(stem: str) -> str:
    """A stem as Ultralytics writes it: a number without leading zeros."""
    return str(int(stem)) if stem.isdecimal() else stem


def _first_damage(content: list) -> str:
    """What is wrong with the first entry that is not a detection."""
    for number, item in enumerate(content):
        for key in ('image_id', 'category_id', 'bbox', 'score'):
            value = item.get(key) if isinstance(item, dict) else None
            if not _fits(key, value):
                return (
                    f'entry {number} has {key} {show(value)}; each needs image_id, '
                    'category_id, bbox [x, y, width, height] and score'
                )
    return "not in COCO's results format; write it again"


def _fits(key: str, value: object) -> bool:
    if key.endswith('_id'):
        return isinstance(value, (int, str))
    numbers = value if key == 'bbox' and isinstance(value, list) else [value]
    return len(numbers) == (4 if key == 'bbox' else 1) and all(
        isinstance(number, (int, float)) for number in numbers
    )
