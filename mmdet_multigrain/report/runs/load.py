"""The runs that a report is about: where they come from, what they hold, whether they compare.

A run is a work dir with a result.json, such a file, or detections in COCO's results format with
their ground truth, from whatever framework. Here belongs reading them; what is made of their
numbers belongs in `comparison`. Needs neither torch nor mmdet.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmdet_multigrain.evaluation import (
    Detections,
    GroundTruth,
    Result,
    RunRecord,
    evaluate_levels,
    read_result,
    summarize,
)
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ReportError
from mmdet_multigrain.utils.messages import show_list

from .inputs import DetectionsFile, TestSet

RESULT_NAME = 'result.json'
TOLERANCE = 1e-6  # between the AP of a result and what its detections give
_SEED = re.compile(r'(?:^|[-_. ])seed[-_ ]?(\d+)$')
# Names of files that say nothing of the run; its folder's name does.
_PLAIN_NAMES = {
    '',
    'bbox',
    'coco',
    'detections',
    'dets',
    'predictions',
    'preds',
    'result',
    'results',
    'test',
    'val',
    'validation',
}


@dataclass(frozen=True, eq=False)
class Run:
    """One evaluated run.

    Attributes:
        name: Unique among the runs of a report.
        variant: What was trained; the same for runs that differ in their seed.
        seed: Seed of the training; None if unknown.
        source: The file that it was read from.
        result: Its numbers and what is known of it.
        test_set: What it was evaluated on; None where the file was not found.
        detections_file: Its detections; None where this file or the other was not found.
        image_folder: Where the images are; None if unknown.
    """

    name: str
    variant: str
    seed: int | None
    source: Path
    result: Result
    test_set: TestSet | None
    detections_file: DetectionsFile | None
    image_folder: Path | None

    @property
    def has_detections(self) -> bool:
        """Whether ground truth and detections are there to be loaded."""
        return self.detections_file is not None

    @functools.cached_property
    def ground_truth(self) -> GroundTruth:
        """Boxes that it was evaluated on, read when first needed.

        Raises:
            ReportError: There is no such file, or it is not what the result was made on.
        """
        if self.test_set is None:
            raise ReportError(
                f'{self.source}: its annotation file {self.result.ann_file} is not '
                'there; name it (--ann-file)'
            )
        truth = self.test_set.ground_truth
        summary = self.result.summary
        boxes = truth.box_counts(self.result.taxonomy.num_classes).tolist()
        expected = [row.val_boxes for row in summary.fine.classes]
        if (len(truth.image_ids), boxes) != (summary.num_images, expected):
            raise ReportError(
                f'{self.test_set.path}: {len(truth.image_ids)} images with {sum(boxes)} boxes, '
                f'but {self.source} was made on {summary.num_images} with {sum(expected)} (by '
                'class, too, they must agree); name the file that it was tested on'
            )
        return truth

    @property
    def detections(self) -> Detections:
        """Its boxes on these images, read when first needed.

        Raises:
            ReportError: There is no such file, or it does not belong to the ground truth.
        """
        self.ground_truth  # noqa: B018 (a mismatch shows here whose fault it is)
        if self.detections_file is None:
            raise ReportError(
                f'{self.source}: its detections ({self.result.detections_file}) are '
                'not there; test it again with tools/test.py'
            )
        found, summary = self.detections_file.detections, self.result.summary
        if len(found.scores) != summary.num_detections:
            raise ReportError(
                f'{self.detections_file.path}: {len(found.scores)} detections, but {self.source} '
                f'was made of {summary.num_detections}; test it again, so that both are of one '
                'test'
            )
        return found


def load_runs(
    specs: Sequence[str | os.PathLike[str]],
    *,
    ann_file: str | os.PathLike[str] | None = None,
    taxonomy: Taxonomy | str | os.PathLike[str] | Mapping[str, Any] | None = None,
    train_ann_file: str | os.PathLike[str] | None = None,
    image_folder: str | os.PathLike[str] | None = None,
    engine: str = 'auto',
) -> tuple[Run, ...]:
    """Read runs and see that they can be compared.

    Args:
        specs: Each a work dir, a result.json, a file of detections (with `ann_file`), or
            `DETECTIONS.json:GROUND_TRUTH.json`. `NAME=` before it names its variant; else
            that is the name of its config or folder, without a suffix like `_seed1`.
        ann_file: Ground truth of all runs, instead of the files that their results name. Default:
            those, as written or relative to the result's folder.
        taxonomy: Of runs that are only detections. Default: that of the first result.json, else
            what the `supercategory` entries of the ground truth give.
        train_ann_file: Whose boxes say which classes are rare, for such runs. Default: unknown.
        image_folder: Folder of the images of all runs. Default: what their results name.
        engine: For evaluating such runs, as in `evaluate_detections`.

    Raises:
        ValueError: One line, if a run cannot be read or does not compare with the first.
    """
    sources = [_Source.parse(spec, ann_file) for spec in specs]
    results = {
        source.path: read_result(source.path) for source in sources if not source.is_detections
    }
    if train_ann_file is not None and len(results) == len(sources):
        raise ReportError(
            f'{train_ann_file}: not used, as each result holds the training boxes '
            'of its run; leave --train-ann-file out'
        )
    if taxonomy is None and results:
        taxonomy = next(iter(results.values())).taxonomy
    test_sets: dict[tuple, TestSet] = {}

    def test_set(path: Path, of: Taxonomy, lenient: bool) -> TestSet:
        # Runs on the same file share it, so that it is read once.
        return test_sets.setdefault((path.resolve(), of, lenient), TestSet(path, of, lenient))

    runs = []
    for source in sources:
        if source.is_detections:
            of = Taxonomy.load(source.truth if taxonomy is None else taxonomy)
            runs.append(
                _run_of_detections(
                    source,
                    test_set(source.truth, of, False),
                    train_ann_file=train_ann_file,
                    image_folder=image_folder,
                    engine=engine,
                )
            )
            continue
        result = results[source.path]
        truth = source.truth or _find(result.ann_file, source.path.parent)
        tested_on = truth and test_set(truth, result.taxonomy, True)
        found = _find(result.detections_file, source.path.parent, near_only=True)
        folder = image_folder or result.run.image_folder
        runs.append(
            Run(
                name='',
                variant=source.variant or _variant(result.run.config, source.path),
                seed=result.run.seed if result.run.seed is not None else _seed(source.path),
                source=source.path,
                result=result,
                test_set=tested_on,
                detections_file=tested_on and found and DetectionsFile(found, tested_on),
                image_folder=None if folder is None else Path(folder),
            )
        )
    runs = _name_runs(runs)
    check_comparable(runs)
    return runs


def check_comparable(runs: Sequence[Run]) -> None:
    """Raise a `ReportError` unless all runs have the same classes and ground truth."""
    for run in runs[1:]:
        first = runs[0]
        one, other = first.result, run.result
        if one.taxonomy.classes != other.taxonomy.classes:
            raise ReportError(
                f'{run.source}: {_class_difference(first, run)}; compare runs on the same classes'
            )
        # Names of taxonomies do not matter, nor aliases.
        levels = [
            [
                (taxonomy.group_names(level), taxonomy.group_index(level))
                for level in range(taxonomy.num_levels)
            ]
            for taxonomy in (one.taxonomy, other.taxonomy)
        ]
        if levels[0] != levels[1]:
            raise ReportError(
                f'{run.source}: its classes are grouped in another way than those '
                f'of {first.source}; test both with one taxonomy'
            )
        counts = [
            (result.summary.num_images, *(row.val_boxes for row in result.summary.fine.classes))
            for result in (one, other)
        ]
        if counts[0] != counts[1] or (
            first.test_set is not None
            and run.test_set is not None
            and first.test_set is not run.test_set
            and first.test_set.digest != run.test_set.digest
        ):
            images, boxes = ([count[0] for count in counts], [sum(count[1:]) for count in counts])
            raise ReportError(
                f'{run.source}: on other ground truth ({images[1]} images, {boxes[1]} boxes) than '
                f'{first.source} ({images[0]}, {boxes[0]}); compare runs tested on one file'
            )


@dataclass(frozen=True)
class _Source:
    """What a user's words for a run mean."""

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
                    'tools/test.py, or name the file'
                )
        is_detections = _begins_list(_existing(path))
        if is_detections and truth is None:
            raise ReportError(
                f'{path}: detections need their ground truth; write '
                f'{path}:GROUND_TRUTH.json, or name it (--ann-file)'
            )
        return cls(path, variant, truth, is_detections)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ReportError(f'{path}: no such run or file; check the path')
    return path


def _begins_list(path: Path) -> bool:
    """Whether a file may be a JSON list: results of COCO are one, a result.json is none."""
    try:
        with open(path, 'rb') as file:
            return file.read(1024).lstrip(b'\xef\xbb\xbf \t\r\n').startswith(b'[')
    except OSError as error:
        raise ReportError(f'{path}: cannot be read ({error.strerror})') from None


def _run_of_detections(
    source: _Source,
    test_set: TestSet,
    *,
    train_ann_file: str | os.PathLike[str] | None,
    image_folder: str | os.PathLike[str] | None,
    engine: str,
) -> Run:
    taxonomy = test_set.taxonomy
    file = DetectionsFile(source.path, test_set)
    counts = None
    if train_ann_file is not None:
        train = TestSet(Path(train_ann_file), taxonomy, False)
        counts = train.ground_truth.box_counts(taxonomy.num_classes).tolist()
    levels = evaluate_levels(
        test_set.ground_truth,
        file.detections,
        [taxonomy.group_index(level) for level in range(taxonomy.num_levels)],
        engine=engine,
    )
    folder = None if image_folder is None else str(image_folder)
    return Run(
        name='',
        variant=source.variant or _variant(None, source.path),
        seed=_seed(source.path),
        source=source.path,
        result=Result(
            summary=summarize(levels, taxonomy, counts),
            taxonomy=taxonomy,
            ann_file=str(test_set.path),
            train_ann_file=None if counts is None else str(train_ann_file),
            detections_file=source.path.name,
            run=RunRecord(image_folder=folder),
        ),
        test_set=test_set,
        detections_file=file,
        image_folder=None if folder is None else Path(folder),
    )


def _find(name: str | None, folder: Path, *, near_only: bool = False) -> Path | None:
    """An existing file: the name as it is written, else relative to a folder."""
    if name is None:
        return None
    candidates = [folder / name] if near_only else [Path(name), folder / name]
    return next((path for path in candidates if path.is_file()), None)


def _variant(config: str | None, source: Path) -> str:
    """Name of the config, else of the file or the folders above it; without the seed."""
    names = [] if config is None else [Path(config).stem]
    names += _names(source)
    return next(
        (
            name
            for name in (_SEED.sub('', name) for name in names)
            if name.lower() not in _PLAIN_NAMES
        ),
        source.stem,
    )


def _seed(source: Path) -> int | None:
    found = [_SEED.search(name) for name in _names(source)[:3]]
    return next((int(match[1]) for match in found if match), None)


def _names(source: Path) -> list[str]:
    """Name of a file without `.bbox.json`, then of the folders above it."""
    path = source.resolve()
    return [path.stem.removesuffix('.bbox'), *(folder.name for folder in path.parents)]


def _name_runs(runs: Sequence[Run]) -> tuple[Run, ...]:
    """The runs with names: the variant, and what tells its runs apart."""
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


def _class_difference(first: Run, run: Run) -> str:
    ours, theirs = run.result.taxonomy.classes, first.result.taxonomy.classes
    lacks = [name for name in theirs if name not in ours]
    more = [name for name in ours if name not in theirs]
    parts = [
        f'{word} {show_list(names)}'
        for word, names in (('lacks', lacks), ('has also', more))
        if names
    ]
    return (
        f'{" and ".join(parts)}, unlike {first.source}'
        if parts
        else f'its classes are in another order than in {first.source}'
    )
