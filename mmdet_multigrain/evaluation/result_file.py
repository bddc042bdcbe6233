"""result.json: what a test leaves of a run, and the way back to the typed summary.

Here belongs the schema of that file. Values are at full precision; what is unknown is null. The
numbers themselves are `summary`'s part.
"""

from __future__ import annotations

import functools
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.levels import Level, at_level
from mmdet_multigrain.utils.errors import EvaluationError
from mmdet_multigrain.utils.files import load_written_json, nearby, write_whole
from mmdet_multigrain.utils.messages import show

from .functional.matching import group_limit
from .functional.protocols import LEAF
from .functional.summary import Bucket, ClassScore, EvaluationSummary, LevelScore
from .training_record import TrainingRecord

SCHEMA_VERSION = 3
MAX_BYTES = 256 << 20  # a hundred times what some thousand classes need
# Entries of a class and of several classes, in this order: fields in lower case.
_ENTRIES = {
    ClassScore: ('name', 'superclasses', 'train_boxes', 'val_boxes', 'AP', 'AP50', 'AP75'),
    Bucket: ('name', 'counted_on', 'classes', 'tied', 'AP', 'AP50'),
}
OVERALL = ('AP', 'AP50', 'AP75', 'APs', 'APm', 'APl')  # what every level has, besides recall


@dataclass(frozen=True)
class RunRecord:
    """What was tested, so that the numbers can be made again. None: unknown."""

    config: str | None = None  # path of the config
    checkpoint: str | None = None  # path or URL of the checkpoint
    iteration: int | None = None  # iterations it was trained for
    seed: int | None = None  # seed of its training
    command: str | None = None  # the command line of the test
    # what of it changes the numbers, like "--tta" or overrides of the config
    options: str | None = None
    image_folder: str | None = None  # where the images are
    # of this package, where it is a checkout; ends with "+" if files were changed
    git_revision: str | None = None
    # of Python and the packages that matter, by name
    versions: Mapping[str, str] = field(default_factory=dict)
    # what the model was trained as, from the checkpoint. The taxonomy in it is that of the head;
    # `Result.taxonomy` is the one evaluated with.
    trained_as: TrainingRecord | None = None


@dataclass(frozen=True)
class Result:
    """The content of a result.json."""

    summary: EvaluationSummary  # the numbers
    taxonomy: Taxonomy  # classes and groups that they belong to
    # COCO file of the ground truth, as the test was given it; None if none was
    ann_file: str | None = None
    train_ann_file: str | None = None  # COCO file that training boxes were counted in
    # detections in COCO's results format, relative to the result.json. With `lineage` in each
    # (`Detections.lineages`) if the detector tells it.
    detections_file: str | None = None
    run: RunRecord = RunRecord()  # what was tested
    # the level that was tested, if it was not that of the classes; the groups there are the classes
    # of `taxonomy`
    level: Level | None = None

    @property
    def leaves(self) -> Taxonomy:
        """The taxonomy of the classes that the ground truth has."""
        return self.taxonomy if self.level is None else self.level.leaves

    @property
    def max_dets(self) -> int:
        """Limit on detections per image and class, or group if a level was tested."""
        limit = self.summary.max_dets
        return limit if self.level is None else group_limit(self.level.index, limit)


def write_result(path: str | os.PathLike[str], result: Result) -> None:
    """Write a result.json atomically; missing folders are created.

    Relative paths of the data are written relative to the file's folder, so that they are found from
    everywhere.
    """
    folder = Path(path).resolve().parent
    write_json(path, to_dict(_with_paths(result, lambda name: os.path.relpath(name, folder))))


def read_result(path: str | os.PathLike[str]) -> Result:
    """Read a result.json; its relative paths of the data become those from the current folder.

    Raises:
        EvaluationError: One line, if it is missing, of another schema or not whole.
    """
    fix = 'test the run again'
    content = load_written_json(path, error=EvaluationError, fix=fix, max_bytes=MAX_BYTES)
    version = content.get('schema_version') if isinstance(content, dict) else None
    folder = Path(path).resolve().parent
    if version is None:
        problem = 'no result of a test'
    elif version != SCHEMA_VERSION:
        problem = f'of schema version {show(version)}, this is {SCHEMA_VERSION}'
    else:
        try:
            return _with_paths(from_dict(content), lambda name: _from_here(name, folder))
        except KeyError as error:
            problem = f'not a whole result ({error} is missing)'
        except ValueError as error:
            problem = f'not a whole result ({error})'
    raise EvaluationError(f'{path}: {problem}; write it again with tools/test.py')


def _with_paths(result: Result, change: Callable[[str], str]) -> Result:
    """A result whose relative paths of annotations and images are changed."""

    def changed(name: str | None) -> str | None:
        keep = name is None or '://' in name or os.path.isabs(name)
        return name if keep else change(name)

    return replace(
        result,
        ann_file=changed(result.ann_file),
        train_ann_file=changed(result.train_ann_file),
        run=replace(result.run, image_folder=changed(result.run.image_folder)),
    )


def _from_here(name: str, folder: Path) -> str:
    path = os.path.normpath(folder / name)
    if not os.path.exists(path) and os.path.exists(name):
        return name  # of an earlier version: relative to where the test was run
    return nearby(path)


def write_json(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write an indented JSON file atomically; missing folders are created."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + '\n'
    write_whole(path, text.encode())


def add_lineages(path: str | os.PathLike[str], lineages: Iterable[np.ndarray]) -> None:
    """Add `lineage` to each detection of a file in COCO's results format, in place.

    They are (n, L) float32 of each image, in the order of the file.
    """
    content = json.loads(Path(path).read_bytes())
    rows = (row for image in lineages for row in image)
    for item, row in zip(content, rows, strict=True):
        item['lineage'] = [float(str(value)) for value in row]  # no more digits than float32 needs
    Path(path).write_text(json.dumps(content))


def to_dict(result: Result) -> dict[str, Any]:
    """Plain values for JSON."""
    summary = result.summary
    return {
        'schema_version': SCHEMA_VERSION,
        'run': {k: v for k, v in asdict(result.run).items() if k != 'options' or v},
        'dataset': {'ann_file': result.ann_file, 'train_ann_file': result.train_ann_file},
        'detections_file': result.detections_file,
        'engine': summary.engine,
        'num_images': summary.num_images,
        'num_detections': summary.num_detections,
        'max_dets': summary.max_dets,
        **_level_to_dict(summary.fine),
        'without_ground_truth': list(summary.without_ground_truth),
        'tail': _entries(summary.tail),
        'thirds': [*map(_entries, summary.thirds)],
        'class_sets': [*map(_entries, summary.class_sets)],
        'coarse_levels': [_level_to_dict(level) for level in summary.levels[:-1]],
        'taxonomy': result.taxonomy.to_dict(),
        **({} if result.level is None else _tested_level(result)),
    }


def _tested_level(result: Result) -> dict[str, Any]:
    name, leaves = result.level.name.removeprefix('level '), result.level.leaves.to_dict()
    return {'protocol': result.summary.protocol, 'level': {'name': name, 'taxonomy': leaves}}


def from_dict(content: Mapping[str, Any]) -> Result:
    """The result that `to_dict` wrote.

    Raises:
        KeyError: An entry is missing.
        ValueError: An entry is of another kind, or contradicts others.
    """
    levels = tuple(map(_level_from_dict, [*_list(content, 'coarse_levels', dict), content]))
    taxonomy = Taxonomy.from_mapping(_get(content, 'taxonomy', dict), source='taxonomy')
    dataset = _get(content, 'dataset', dict)
    if [[row.name for row in level.classes] for level in levels] != [
        [*taxonomy.group_names(level)] for level in range(taxonomy.num_levels)
    ]:
        raise EvaluationError('its classes are not those of its taxonomy')
    levels = tuple(replace(one, tree=taxonomy.tree_of(n)) for n, one in enumerate(levels))
    level = _get({'level': None, **content}, 'level', dict | None)
    if level is not None:
        leaves = Taxonomy.from_mapping(_get(level, 'taxonomy', dict), source='level')
        level = at_level(leaves, _get(level, 'name', str))
        if level.taxonomy != taxonomy:
            raise EvaluationError('its groups are not those of its level')
    return Result(
        summary=EvaluationSummary(
            levels=levels,
            tail=_from_entries(Bucket, _get(content, 'tail', dict)),
            thirds=_all_from_entries(Bucket, content, 'thirds'),
            num_images=_get(content, 'num_images', int),
            num_detections=_get(content, 'num_detections', int),
            max_dets=_get(content, 'max_dets', int),
            engine=_get(content, 'engine', str),
            class_sets=_all_from_entries(Bucket, content, 'class_sets'),
            protocol=_get({'protocol': LEAF, **content}, 'protocol', str),
        ),
        level=level,
        taxonomy=taxonomy,
        ann_file=_get(dataset, 'ann_file', str | None),
        train_ann_file=_get(dataset, 'train_ann_file', str | None),
        detections_file=_get(content, 'detections_file', str | None),
        run=_run_from_dict(_get(content, 'run', dict)),
    )


def _run_from_dict(content: Mapping[str, Any]) -> RunRecord:
    kinds = _kinds(RunRecord)
    if unknown := content.keys() - kinds.keys():
        raise EvaluationError(f'run has the unknown entry {show(min(unknown))}')
    # Entries may be missing, as in files of an earlier version.
    versions = _get({'versions': {}, **content}, 'versions', dict)
    plain = content.keys() - {'versions', 'trained_as'}
    return RunRecord(
        **{key: _get(content, key, kinds[key]) for key in plain},
        versions={key: _get(versions, key, str) for key in versions},
        trained_as=_training_record({'trained_as': None, **content}),
    )


def _training_record(content: Mapping[str, Any]) -> TrainingRecord | None:
    record = _get(content, 'trained_as', dict | None)
    for name, facts in (record or {}).items():
        if 'taxonomy' in _get(record, name, dict):
            Taxonomy.from_mapping(_get(facts, 'taxonomy', dict), name, allow_one_group=True)
    return record


def _level_to_dict(level: LevelScore) -> dict[str, Any]:
    return {
        'coco': {name: _plain(value) for name, value in level.coco.items()},
        'num_cut': level.num_cut,
        'classes': [*map(_entries, level.classes)],
    }


def _entries(value: ClassScore | Bucket) -> dict[str, Any]:
    return {key: _plain(getattr(value, key.lower())) for key in _ENTRIES[type(value)]}


def _plain(value: Any) -> Any:
    """A value as JSON has it: no tuple, no NaN."""
    if isinstance(value, tuple):
        return list(value)
    return None if isinstance(value, float) and math.isnan(value) else value


def _level_from_dict(content: Mapping[str, Any]) -> LevelScore:
    coco = _get(content, 'coco', dict)
    return LevelScore(
        coco={name: _fraction(coco, name) for name in (*OVERALL, *coco)},
        classes=_all_from_entries(ClassScore, content, 'classes'),
        num_cut=_get(content, 'num_cut', int),
    )


_kinds = functools.cache(get_type_hints)


def _all_from_entries(of: type, content: Mapping[str, Any], key: str) -> tuple[Any, ...]:
    return tuple(_from_entries(of, row) for row in _list(content, key, dict))


def _from_entries(of: type, content: Mapping[str, Any]) -> Any:
    """The `ClassScore` or `Bucket` that `_entries` wrote."""
    kinds = _kinds(of)
    return of(**{key.lower(): _get(content, key, kinds[key.lower()]) for key in _ENTRIES[of]})


def _fraction(content: Mapping[str, Any], key: str) -> float:
    value = content[key]
    if value is None:
        return math.nan
    if type(value) not in (int, float) or not 0 <= value <= 1 + 1e-9:  # rounding
        raise EvaluationError(f'{key} is {show(value)}, no fraction from 0 to 1')
    return float(value)


def _get(content: Mapping[str, Any], key: str, kind: Any) -> Any:
    """An entry of a kind: whole numbers are counts, not negative, others fractions, tuples of text."""
    if kind is float:
        return _fraction(content, key)
    if get_origin(kind) is tuple:
        return tuple(_list(content, key, str))
    value, kinds = content[key], get_args(kind) or (kind,)
    if type(value) not in kinds or type(value) is int and not 0 <= value < 2**63:
        raise EvaluationError(f'{key} is {show(value)}')
    return value


def _list(content: Mapping[str, Any], key: str, kind: type) -> list[Any]:
    values = _get(content, key, list)
    for value in values:
        if type(value) is not kind:
            raise EvaluationError(f'{key} holds {show(value)}')
    return values
