"""From runs to a folder of pictures: find the cases, choose, draw, list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mmdet_multigrain.evaluation.answers import AnswerRule
from mmdet_multigrain.evaluation.functional.confusion import balanced_score
from mmdet_multigrain.evaluation.functional.error_analysis import ERRORS
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ReportError
from mmdet_multigrain.visualization.palette import superclass_colors

from ..runs.run import Run
from ..templates import render_template
from .cases import Case, cases_by_photo, choose_cases, choose_photos, find_cases
from .drawing import ClassStyle
from .folder import Gallery, PictureFolder
from .photos import Photos


@dataclass(frozen=True)
class Choice:
    """What to show."""

    # lowest score that counts; default: the `balanced_score` of each run
    score_thr: float | None = None
    num: int = 24  # photos side by side, at most
    per_kind: int = 12  # pictures of each kind of error of a run, at most
    # names of the classes to show, or of groups of them; default: all
    classes: Sequence[str] | None = None
    rule: AnswerRule | None = None  # also say what the detections are answered with

    def labels(self, taxonomy: Taxonomy) -> frozenset[int]:
        """Labels of the classes to show."""
        if self.classes is None:
            return frozenset(range(taxonomy.num_classes))
        found: set[int] = set()
        for name in self.classes:
            label = taxonomy.find(name, coarse=True)
            label = taxonomy.label_of(name, '--classes') if label is None else label
            found |= {*np.flatnonzero(taxonomy.labels.sets[label]).tolist()}
        return frozenset(found)


def browse(
    runs: Sequence[Run],
    out: Path,
    *,
    photos: Photos,
    choice: Choice,
    width: int = 480,
    progress: bool = False,
) -> PictureFolder:
    """Draw photos side by side and examples of each error of each run, and list them.

    All runs are on the same ground truth; `width` is that of a photo on a picture, in pixels.

    Raises:
        MultigrainError: One line, if a run has no detections to show, a class is unknown, no photo
            can be read, or a file cannot be written.
    """
    taxonomy, truth = runs[0].result.taxonomy, runs[0].ground_truth
    names = [runs[0].test_set.file_names[image_id] for image_id in truth.image_ids]
    labels = choice.labels(taxonomy)
    scores = {run.name: _lowest_score(run, choice.score_thr) for run in runs}
    cases = {run.name: _cases_of(run, scores[run.name], choice.rule, labels) for run in runs}
    images = choose_photos([*cases.values()], file_names=names, count=choice.num)
    galleries = choose_galleries(cases, names, per_kind=choice.per_kind)
    shown_cases = [case for gallery in galleries for case in gallery.cases]
    photos.check(names[image] for image in (*images, *(case.image for case in shown_cases)))

    folder = PictureFolder(
        out,
        photos=photos,
        truth=truth,
        file_names=names,
        runs=[*cases],
        classes=ClassStyle(taxonomy),
        width=width,
        labels=labels,
    )
    by_run = {run: cases_by_photo(found) for run, found in cases.items()}
    shown, pages = [], {run: [] for run in cases}
    total = len(images) + len(shown_cases)
    with tqdm(total=total, desc='drawing', unit='picture', disable=not progress) as bar:
        for number, image in enumerate(images, start=1):
            on_photo = {run: found[image] for run, found in by_run.items()}
            shown += folder.draw_photo(number, image, on_photo)
            bar.update()
        for gallery in galleries:
            pages[gallery.run] += folder.draw_gallery(gallery, done=bar.update)
    found = sorted(folder.classes_shown, key=lambda label: taxonomy.classes[label].casefold())
    folder.finish(
        render_template(
            __package__,
            'browse.html.j2',
            score_thr=choice.score_thr,
            scores=scores,
            classes=_by_group(taxonomy, found),
            hedged=choice.rule is not None,
            only=choice.classes and [taxonomy.classes[label] for label in sorted(labels)],
            blurred=photos.blur,
            legend=superclass_colors(taxonomy),
            photos=shown,
            runs=pages,
        )
    )
    return folder


def choose_galleries(
    cases: Mapping[str, Sequence[Case]], file_names: Sequence[str], *, per_kind: int
) -> list[Gallery]:
    """The cases to show of each run and each kind of error that it has, at most `per_kind`."""
    galleries = []
    for run, found in cases.items():
        totals = Counter(case.kind for case in found)
        for kind in ERRORS:
            chosen = choose_cases(found, kind, file_names=file_names, count=per_kind)
            if chosen:
                galleries.append(Gallery(run, kind, totals[kind], chosen))
    return galleries


def _lowest_score(run: Run, wanted: float | None) -> float:
    """The lowest score that counts.

    Raises:
        ReportError: No detection has it.
    """
    path, scores = run.detections_file.path, run.detections.scores
    if not len(scores):
        raise ReportError(f'{path}: no detections; look at the run')
    if wanted is None:
        return balanced_score(run.ground_truth, run.detections)
    if scores.max() < wanted:
        raise ReportError(
            f'{path}: no detection with a score of {wanted:g} or more (the best has '
            f'{scores.max():.3f}); lower --score-thr or leave it out'
        )
    return wanted


def _cases_of(
    run: Run, score_thr: float, rule: AnswerRule | None, labels: Collection[int]
) -> list[Case]:
    """The cases of a run that are about one of these classes."""
    if rule is not None:
        rule.check(run.result.taxonomy)
        if run.detections.lineages is None:
            raise ReportError(
                f'{run.detections_file.path}: says only the class of each detection, not what its '
                'groups score; test again with --lineages, or leave --hedge out'
            )
    found = run.ground_truth, run.detections, run.result.taxonomy
    cases = find_cases(*found, score_thr=score_thr, rule=rule)
    return [case for case in cases if case.is_about(labels)]


def _by_group(taxonomy: Taxonomy, labels: Iterable[int]) -> dict[str, dict[int, str]]:
    """Names of classes by label, in the groups of the coarsest level."""
    groups: dict[str, dict[int, str]] = {}
    for label in sorted(labels, key=lambda label: taxonomy.superclass_of(label).casefold()):
        groups.setdefault(taxonomy.superclass_of(label), {})[label] = taxonomy.classes[label]
    return groups
