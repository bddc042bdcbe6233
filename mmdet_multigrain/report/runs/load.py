"""Loads the runs of a report.

A run is a work dir with a result.json, such a file, or detections in COCO's results format with
their ground truth, from any framework. Needs neither torch nor mmdet.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmdet_multigrain.evaluation import Result, evaluate_levels, read_result, summarize
from mmdet_multigrain.evaluation.functional.common import MAX_DETS
from mmdet_multigrain.evaluation.functional.matching import group_limit
from mmdet_multigrain.evaluation.functional.protocols import LEAF, group_protocol
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.levels import at_level
from mmdet_multigrain.utils.errors import ReportError
from mmdet_multigrain.utils.messages import show

from .doubts import find_doubt
from .inputs import DetectionsFile, TestSet
from .run import Run, check_comparable

RESULT_NAME = 'result.json'
_SEED = re.compile(r'(?:^|[-_. ])seed[-_ ]?(\d+)$')
# File names that do not identify a run; the folder's name does.
_GENERIC_NAMES = frozenset(
    'bbox coco detections dets predictions preds result results test val validation'.split()
) | {''}


def load_runs(
    specs: Sequence[str | os.PathLike[str]],
    *,
    ann_file: str | os.PathLike[str] | None = None,
    taxonomy: Taxonomy | str | os.PathLike[str] | Mapping[str, Any] | None = None,
    train_ann_file: str | os.PathLike[str] | None = None,
    max_dets: int | None = None,
    level: int | str | None = None,
) -> tuple[Run, ...]:
    """Load runs and check that they can be compared.

    Args:
        specs: Each a work dir, a result.json, a file of detections (with `ann_file`), or
            `DETECTIONS.json:GROUND_TRUTH.json`. A leading `NAME=` names its variant. Default
            name: that of its config or folder, without a suffix like `_seed1`.
        ann_file: Ground truth of all runs. Default: the files that their results name, as written
            or relative to the result's folder.
        taxonomy: For runs that are only detections. Default: that of the first result.json, else
            what the `supercategory` entries of the ground truth give.
        train_ann_file: For such runs, the boxes that decide which classes are rare. Default:
            unknown.
        max_dets: For such runs, the limit on detections per image and class. Default: that of
            the first result.json, else COCO's 100.
        level: Compare such runs by the groups of a level (`at_level`): one answer for each object,
            the maximum of their detections. There may be no other runs.

    Raises:
        MultigrainError: One line, if a run cannot be read or does not compare with the first.
    """
    sources = [_Source.parse(spec, ann_file) for spec in specs]
    results = {
        source.path: read_result(source.path) for source in sources if not source.is_detections
    }
    if level is not None and results:
        raise ReportError(
            f'{next(iter(results))}: holds its own numbers, so --level {level} cannot change them; '
            'test the run again with it'
        )
    if max_dets is not None and len(results) == len(sources):
        raise ReportError(
            f'--max-dets {max_dets}: not used, as each result was made with a limit of its own; '
            'test the runs again with it'
        )
    if taxonomy is not None and len(results) == len(sources):
        raise ReportError(
            f'--taxonomy {_name_of(taxonomy)}: not used, as each result holds the groups of its '
            'test; test the runs again with it as eval_taxonomy'
        )
    if train_ann_file is not None and len(results) == len(sources):
        raise ReportError(
            f'{train_ann_file}: not used, as each result holds the training boxes '
            'of its run; leave --train-ann-file out'
        )
    if results:
        first = next(iter(results.values()))
        taxonomy = first.leaves if taxonomy is None else taxonomy
        max_dets = max_dets or first.summary.max_dets
    test_sets: dict[tuple, TestSet] = {}

    def test_set(path: Path, *of: Any) -> TestSet:
        # Runs on the same file share it, so that it is read once.
        return test_sets.setdefault((path.resolve(), *of), TestSet(path, *of))

    runs = []
    for source in sources:
        if source.is_detections:
            of = Taxonomy.load(source.truth if taxonomy is None else taxonomy)
            file = DetectionsFile(source.path, test_set(source.truth, of, False))
            doubt = find_doubt(file.detections, file.test_set)
            if level is not None:
                groups = at_level(of, level)
                tested_on = test_set(source.truth, groups.taxonomy, False, groups)
                file = DetectionsFile(source.path, tested_on, file)
            result = _evaluate(file, train_ann_file, max_dets or MAX_DETS)
            run = _run(source, result, file.test_set, file)
            runs.append(dataclasses.replace(run, doubt=doubt))
        else:
            result, folder = results[source.path], source.path.parent
            truth = source.truth or _first_file(result.ann_file, '.', folder)
            tested_on = truth and test_set(truth, result.taxonomy, True, result.level)
            detections = _first_file(result.detections_file, folder)
            file = tested_on and detections and DetectionsFile(detections, tested_on)
            runs.append(_run(source, result, tested_on, file))
    runs = _name_runs(runs)
    check_comparable(runs)
    return runs


@dataclass(frozen=True)
class _Source:
    """A parsed run argument."""

    path: Path
    variant: str | None
    truth: Path | None
    is_detections: bool

    @classmethod
    def parse(
        cls, spec: str | os.PathLike[str], ann_file: str | os.PathLike[str] | None
    ) -> _Source:
        text, variant, truth = os.fspath(spec), None, ann_file and _existing(Path(ann_file))
        if not Path(text).exists() and '=' in text:
            variant, text = text.split('=', 1)
        if not Path(text).exists() and ':' in text:
            text, truth = text.rsplit(':', 1)
            truth = _existing(Path(truth))
        path = Path(text)
        if path.is_dir():
            path = path / RESULT_NAME
            if not path.is_file():
                raise ReportError(
                    f'{text}: no {RESULT_NAME} in this folder; write it with '
                    f'tools/test.py, or name the file{_other_results(Path(text))}'
                )
        is_detections = _starts_list(_existing(path))
        if is_detections and truth is None:
            raise ReportError(
                f'{path}: detections need their ground truth; write '
                f'{path}:GROUND_TRUTH.json, or name it (--ann-file)'
            )
        return cls(path, variant, truth, is_detections)


def _name_of(taxonomy: Taxonomy | str | os.PathLike[str] | Mapping[str, Any]) -> str:
    if isinstance(taxonomy, str | os.PathLike):
        return os.fspath(taxonomy)
    return show(Taxonomy.load(taxonomy).name)


def _other_results(folder: Path) -> str:
    names = sorted(path.name for path in folder.glob('result_*.json') if not path.match('*.bbox.*'))
    return f' ({", ".join(names)})' if names else ''


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ReportError(f'{path}: no such run or file; check the path')
    return path


def _starts_list(path: Path) -> bool:
    """Whether a file starts like a JSON list, as COCO results do; a result.json does not."""
    try:
        with open(path, 'rb') as file:
            return file.read(1024).lstrip(b'\xef\xbb\xbf \t\r\n').startswith(b'[')
    except OSError as error:
        raise ReportError(f'{path}: cannot be read ({error.strerror})') from None


def _run(
    source: _Source, result: Result, test_set: TestSet | None, file: DetectionsFile | None
) -> Run:
    """A run that has no name yet."""
    variant = source.variant or _variant(result.run.config, source.path)
    if source.variant is None and '--tta' in (result.run.options or '').split():
        variant += ' (TTA)'
    seed = _seed(source.path) if result.run.seed is None else result.run.seed
    return Run('', variant, seed, source.path, result, test_set, file)


def _first_file(name: str | None, *folders: str | Path) -> Path | None:
    """The name in the first folder that has such a file."""
    paths = [] if name is None else [Path(folder, name) for folder in folders]
    return next((path for path in paths if path.is_file()), None)


def _evaluate(
    file: DetectionsFile, train_ann_file: str | os.PathLike[str] | None, max_dets: int
) -> Result:
    """Evaluate detections; their result has no record of a run."""
    test_set, taxonomy, counts = file.test_set, file.test_set.taxonomy, None
    level, limit, protocol = test_set.level, max_dets, LEAF
    if level is not None:
        limit = group_limit(level.index, max_dets)
        protocol = group_protocol(level.name, None)
    if train_ann_file is not None:
        train = TestSet(Path(train_ann_file), taxonomy, False, level)
        counts = train.annotations.training_counts()
        if level is not None:
            counts = np.bincount(level.index, weights=counts).astype(int).tolist()
    levels = evaluate_levels(
        test_set.boxes,
        file.detections,
        [taxonomy.group_index(number) for number in range(taxonomy.num_levels)],
        max_dets=limit,
    )
    return Result(
        summary=summarize(levels, taxonomy, counts, protocol=protocol, max_dets=max_dets),
        taxonomy=taxonomy,
        ann_file=str(test_set.path),
        train_ann_file=None if counts is None else str(train_ann_file),
        detections_file=file.path.name,
        level=level,
    )


def _variant(config: str | None, source: Path) -> str:
    """Name of the config, else of the file or the folders above it; without the seed."""
    names = [] if config is None else [Path(config).stem]
    names = [_SEED.sub('', name) for name in (*names, *_names(source))]
    return next((name for name in names if name.lower() not in _GENERIC_NAMES), source.stem)


def _seed(source: Path) -> int | None:
    found = [_SEED.search(name) for name in _names(source)[:3]]
    return next((int(match[1]) for match in found if match), None)


def _names(source: Path) -> list[str]:
    """Name of a file without `.bbox.json`, then of the folders above it."""
    path = source.resolve()
    return [path.stem.removesuffix('.bbox'), *(folder.name for folder in path.parents)]


def _name_runs(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Name the runs by variant, and by what distinguishes the runs of a variant."""
    sources: dict[Path, Run] = {}
    seeds: dict[tuple, Run] = {}
    for run in runs:
        if sources.setdefault(run.source.resolve(), run) is not run:
            raise ReportError(f'{run.source}: named twice; name each run once')
        key = (run.variant, run.seed)
        if run.seed is not None and seeds.setdefault(key, run) is not run:
            raise ReportError(
                f'{run.source}: {run.variant} with seed {run.seed}, as is {seeds[key].source}; '
                'tell them apart with NAME=RUN, or leave one out'
            )
    counts = Counter(run.variant for run in runs)

    def name(run: Run) -> str:
        if counts[run.variant] == 1:
            return run.variant
        return f'{run.variant} ({run.source if run.seed is None else f"seed {run.seed}"})'

    return tuple(dataclasses.replace(run, name=name(run)) for run in runs)
