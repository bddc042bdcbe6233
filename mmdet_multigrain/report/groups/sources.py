"""What tells how alike classes are: confusions of a tested run, a checkpoint, a file of vectors."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from mmdet_multigrain.coco.columns import CocoColumns
from mmdet_multigrain.coco.split import group_images
from mmdet_multigrain.evaluation.functional.grouping import confusions
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import CheckpointError, ReportError, UntrustedCheckpointError
from mmdet_multigrain.utils.files import load_json, read_bytes
from mmdet_multigrain.utils.messages import show_list

from ..runs.inputs import TestSet
from ..runs.run import Run

_ROWS = re.compile(r'(^|.*\.)bbox_head(\.\d+)?\.fc_cls\.weight$')
T = TypeVar('T')
MAX_BYTES = 1 << 30  # of a file of vectors: 100,000 classes of 1,000 numbers as text


@dataclass(frozen=True, eq=False)
class Confusions:
    """Mistakes of a detector on two halves of photos."""

    taxonomy: Taxonomy  # classes, and the groups that the run was tested with
    # (K, K) boxes of a class (row) taken for another (column), of each half
    halves: tuple[np.ndarray, np.ndarray]
    train_boxes: list[int] | None  # training boxes of each class; None if the run does not tell
    notes: tuple[str, ...]  # what to know about the photos, as lines


@dataclass(frozen=True, eq=False)
class Vectors:
    """A vector for each class."""

    taxonomy: Taxonomy  # classes, and groups where the source has some
    rows: np.ndarray  # (K, D)


def from_run(
    run: Run, evaluated_on: Sequence[str | os.PathLike[str]], *, group_by: str | None = None
) -> Confusions:
    """Confusions of a tested run.

    Args:
        run: The run.
        evaluated_on: Annotation files of validation and test, whose photos these must not be.
        group_by: Photos that stay in one half, as `group_images` takes it.

    Raises:
        ReportError: The photos are those of validation or test, or the run has no detections of
            classes, or no confusions.
    """
    if run.result.level is not None:
        raise ReportError(f'{run.source}: tested by groups; test it again by classes')
    taxonomy, truth = run.result.taxonomy, run.ground_truth
    notes = _check_photos(run, evaluated_on)
    group_of = None
    if group_by is not None:
        dataset = run.test_set.annotations.dataset
        groups = group_images(CocoColumns(dataset), group_by).tolist()
        of_id = dict(zip(run.test_set.file_names, groups, strict=True))
        group_of = np.array([of_id[image] for image in truth.image_ids])
    halves = confusions(truth, run.detections, taxonomy, group_of=group_of)
    if not sum(map(np.sum, halves)):
        raise ReportError(
            f'{run.source}: no box is taken for another class; test on more photos, or take weights'
        )
    counts = [row.train_boxes for row in run.result.summary.fine.classes]
    return Confusions(taxonomy, halves, None if None in counts else counts, notes)


def _check_photos(run: Run, evaluated_on: Sequence[str | os.PathLike[str]]) -> tuple[str, ...]:
    """Refuse photos that evaluation uses; lines on those that are doubtful."""
    notes = []
    photos = {*run.test_set.file_names.values()}

    def shared(other: TestSet) -> str:
        number = len(photos & {*other.file_names.values()})
        return number and f'{run.source}: {number} of {len(photos)} photos are in {other.path}, '

    for path in evaluated_on:
        other = TestSet(Path(path), run.result.taxonomy, True)
        if other.digest == run.test_set.digest:
            raise ReportError(
                f'{run.source}: tested on the photos and boxes of {path}, which is for validation '
                'or test: groups chosen there would flatter it; test on training photos that the '
                'detector has not seen (tools/split_dataset.py)'
            )
        if start := shared(other):
            notes.append(f'{start}which is for validation or test: these groups flatter it')
    trained_on = run.result.train_ann_file
    if trained_on is not None and Path(trained_on).is_file():
        if start := shared(TestSet(Path(trained_on), run.result.taxonomy, True)):
            notes.append(f'{start}which the detector was trained on: on others it errs otherwise')
    return tuple(notes)


def from_checkpoint(path: str | os.PathLike[str]) -> Vectors:
    """The rows of a checkpoint's classifier, less their mean, which no softmax depends on.

    Of a cascade, those of the last stage.

    Raises:
        CheckpointError: It cannot be read, does not name its classes, or has no box head with a row
            for each class.
    """
    from mmdet_multigrain.engine.checkpoint.read import read_checkpoint, state_dict_of, trained_on

    try:
        checkpoint = read_checkpoint(str(path))
    except UntrustedCheckpointError as error:  # make_taxonomy has no option to trust it
        raise CheckpointError(str(error)) from None
    data, state = trained_on(checkpoint), state_dict_of(checkpoint)
    classes = data.get('classes')
    if not classes:
        raise CheckpointError(
            f'{path}: does not name its classes; take one that training with MMDetection saved'
        )
    taxonomy = data.get('taxonomy')
    taxonomy = Taxonomy(Path(path).stem, classes) if taxonomy is None else Taxonomy.load(taxonomy)
    names = sorted(name for name in state if _ROWS.match(str(name)))
    rows = state[names[-1]].double().flatten(1).numpy()[: len(classes)] if names else ()
    if len(rows) < len(classes) or not np.isfinite(rows).all():
        raise CheckpointError(
            f'{path}: has no box head (bbox_head.fc_cls.weight) with a row of numbers for each of '
            f'its {len(classes)} classes; take a two-stage detector'
        )
    return Vectors(taxonomy, rows - rows.mean(axis=0))


def from_files(
    vectors: str | os.PathLike[str], names: str | os.PathLike[str] | None = None
) -> Vectors:
    """A user's vectors.

    Args:
        vectors: A JSON object with a list of numbers for each class, or a .npy file with a row
            for each class.
        names: For a .npy file: the classes in the order of its rows, one on a line.

    Raises:
        ReportError: A file cannot be read, or holds something else.
        TaxonomyError: The names are no valid classes.
    """
    path = Path(vectors)
    if (path.suffix == '.npy') != (names is not None):
        raise ReportError(
            f'{path}: a .npy file needs the names of its rows, a text file with one on each line; '
            'JSON holds names and vectors, and goes alone'
        )
    if names is None:
        content = _read(path, lambda: load_json(path, max_bytes=MAX_BYTES))
        if not isinstance(content, dict) or not all(map(_is_vector, content.values())):
            raise ReportError(f'{path}: not an object with a list of numbers for each class')
        if len({len(vector) for vector in content.values()}) > 1:
            raise ReportError(f'{path}: vectors of different lengths; give all the same')
        classes, rows = list(content), np.array(list(content.values()), dtype=np.float64)
    else:
        text = _read(names, lambda: read_bytes(names, MAX_BYTES).decode('utf-8-sig'))
        classes = [line.strip() for line in text.splitlines() if line.strip()]
        rows = _read(path, lambda: np.load(path, allow_pickle=False))
        if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.dtype.kind not in 'fiu':
            raise ReportError(f'{path}: not an array of numbers with a row for each class')
        if len(rows) != len(classes):
            raise ReportError(f'{path}: {len(rows)} rows, but {names} has {len(classes)} names')
        rows = rows.astype(np.float64)
    taxonomy = Taxonomy(path.stem, classes)
    if bad := [name for name, row in zip(classes, rows, strict=True) if not np.isfinite(row).all()]:
        raise ReportError(f'{path}: not finite: the vectors of {show_list(bad)}')
    return Vectors(taxonomy, rows)


def _read(path: str | os.PathLike[str], read: Callable[[], T]) -> T:
    try:
        return read()
    except (OSError, ValueError, EOFError, MemoryError) as error:
        reason = getattr(error, 'strerror', None) or ' '.join(str(error).split())[:100]
        raise ReportError(f'{path}: cannot be read ({reason}); check the file') from None


def _is_vector(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, int | float) and not isinstance(one, bool) for one in value)
    )
