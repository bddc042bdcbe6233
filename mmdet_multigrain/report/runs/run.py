"""One evaluated run, and whether several can be compared. Needs neither torch nor mmdet."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmdet_multigrain.evaluation import Detections, GroundTruth, Result
from mmdet_multigrain.evaluation.training_record import record_difference
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ReportError
from mmdet_multigrain.utils.messages import printable, show_list

from .inputs import DetectionsFile, TestSet

TOLERANCE = 1e-6  # between the AP in a result and the AP of its detections


@dataclass(frozen=True, eq=False)
class Run:
    """One evaluated run."""

    name: str  # unique among the runs of a report
    variant: str  # what was trained; the same for runs that differ in their seed
    seed: int | None  # seed of the training; None if unknown
    source: Path  # the file it was read from
    result: Result  # its numbers and their record
    test_set: TestSet | None  # what it was evaluated on; None if the file was not found
    # its detections; None if this file or the test set was not found
    detections_file: DetectionsFile | None
    # why its numbers may be wrong, for detections of other frameworks; see `find_doubt`
    doubt: str = ''

    @property
    def has_detections(self) -> bool:
        """Whether ground truth and detections can be loaded."""
        return self.detections_file is not None

    @functools.cached_property
    def ground_truth(self) -> GroundTruth:
        """The boxes it was evaluated on, read on first use.

        Raises:
            ReportError: The file is missing, or the result was not made on it.
        """
        if self.test_set is None:
            raise ReportError(
                f'{self.source}: its annotation file {self.result.ann_file} does not exist; '
                'name it (--ann-file)'
            )
        truth, summary = self.test_set.ground_truth, self.result.summary
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
    def boxes(self) -> GroundTruth:
        """The same with labels of any granularity."""
        self.ground_truth  # noqa: B018 (raises where it is wrong)
        return self.test_set.boxes

    @property
    def detections(self) -> Detections:
        """Its boxes on these images, read on first use.

        Raises:
            ReportError: The file is missing, or does not belong to the ground truth.
        """
        self.ground_truth  # noqa: B018 (raises first where the ground truth is wrong)
        if self.detections_file is None:
            raise ReportError(
                f'{self.source}: its detections ({self.result.detections_file}) do not exist; '
                'test it again with tools/test.py'
            )
        found, summary = self.detections_file.detections, self.result.summary
        if len(found.scores) != summary.num_detections:
            raise ReportError(
                f'{self.detections_file.path}: {len(found.scores)} detections, but {self.source} '
                f'was made of {summary.num_detections}; test it again, so that both are of one '
                'test'
            )
        return found


def runs_by_variant(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """The runs of each variant, in the order given."""
    members: dict[str, list[Run]] = {}
    for run in runs:
        members.setdefault(run.variant, []).append(run)
    return members


def complete_variants(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """The same of the variants whose runs all have detections."""
    return {
        name: own
        for name, own in runs_by_variant(runs).items()
        if all(run.has_detections for run in own)
    }


def check_comparable(runs: Sequence[Run]) -> None:
    """Raise a `ReportError` unless all runs have the same classes and ground truth.

    Runs of one variant must be trained as the same and tested with the same options, too.
    """
    for first, *others in runs_by_variant(runs).values():
        for run in others:
            records = run.result.run.trained_as or {}, first.result.run.trained_as or {}
            places = f'{{there}}, but {{here}} in {first.source}'
            if difference := record_difference(*records, places=places):
                raise ReportError(
                    f'{run.source}: {difference}, which is called {run.variant!r}, too; name the '
                    'variants apart (NAME=RUN)'
                )
        _check_options([first, *others])
    for run in runs[1:]:
        first = runs[0]
        protocols = run.result.summary.protocol, first.result.summary.protocol
        if protocols[0] != protocols[1]:
            raise ReportError(
                f'{run.source}: by the protocol {protocols[0]}, {first.source} by {protocols[1]}; '
                'test both with one --level'
            )
        if run.result.taxonomy.classes != first.result.taxonomy.classes:
            raise ReportError(
                f'{run.source}: {_class_difference(first, run)}; compare runs on the same classes'
            )
        if _groups(run.result.taxonomy) != _groups(first.result.taxonomy):
            raise ReportError(
                f'{run.source}: its classes are grouped in another way than those '
                f'of {first.source}; test both with one eval_taxonomy'
            )
        limits = run.result.summary.max_dets, first.result.summary.max_dets
        if limits[0] != limits[1]:
            raise ReportError(
                f'{run.source}: made with at most {limits[0]} detections per image and class, '
                f'{first.source} with {limits[1]}; test both with one limit (--max-dets)'
            )
        sets, first_sets = _class_sets(run), _class_sets(first)
        for name in sets.keys() & first_sets.keys():
            if sets[name] != first_sets[name]:
                raise ReportError(
                    f'{run.source}: its class set {name!r} has other classes than that of '
                    f'{first.source}; test both with one set'
                )
        if _counts(run) != _counts(first) or _have_different_boxes(run, first):
            (images, *boxes), (first_images, *first_boxes) = _counts(run), _counts(first)
            raise ReportError(
                f'{run.source}: on other ground truth ({images} images, {sum(boxes)} boxes) than '
                f'{first.source} ({first_images}, {sum(first_boxes)}); compare runs tested on one '
                'file'
            )


def _check_options(runs: Sequence[Run]) -> None:
    """Refuse runs of one variant that are known to be tested in different ways."""
    # Without a command, none may have been recorded.
    records = [(run, run.result.run) for run in runs]
    known = [(run, _options(one.options)) for run, one in records if one.options or one.command]
    for run, options in known[1:]:
        first, first_options = known[0]
        if {*options} != {*first_options}:
            more = ' '.join(one for one in options if one not in first_options) or 'no option'
            less = ' '.join(one for one in first_options if one not in options) or 'no option'
            raise ReportError(
                f'{run.source}: tested with {printable(more)}, but {first.source} with '
                f'{printable(less)} instead, and both are called {run.variant!r}; name the variants '
                'apart (NAME=RUN), or test both in one way'
            )


def _options(text: str | None) -> list[str]:
    """The single options of a test; their values may have blanks."""
    return re.split(r' (?=--|[\w.]+=)', text) if text else []


def _class_difference(first: Run, run: Run) -> str:
    ours, theirs = run.result.taxonomy.classes, first.result.taxonomy.classes
    lacks = [name for name in theirs if name not in ours]
    more = [name for name in ours if name not in theirs]
    parts = [f'lacks {show_list(lacks)}'] if lacks else []
    parts += [f'has also {show_list(more)}'] if more else []
    if not parts:
        return f'its classes are in another order than in {first.source}'
    return f'{" and ".join(parts)}, unlike {first.source}'


def _groups(taxonomy: Taxonomy) -> list[tuple]:
    """Groups of each level; names and aliases of a taxonomy do not matter."""
    levels = range(taxonomy.num_levels)
    groups = [(taxonomy.group_names(level), taxonomy.group_index(level)) for level in levels]
    return [*groups, (taxonomy.trees, taxonomy.main_tree)]


def _class_sets(run: Run) -> dict[str, set[str]]:
    return {one.name: set(one.classes) for one in run.result.summary.class_sets}


def _counts(run: Run) -> tuple[int, ...]:
    """Images, then boxes of each class."""
    summary = run.result.summary
    return summary.num_images, *(row.val_boxes for row in summary.fine.classes)


def _have_different_boxes(run: Run, other: Run) -> bool:
    if run.test_set is None or other.test_set is None or run.test_set is other.test_set:
        return False
    return run.test_set.digest != other.test_set.digest
