"""How wrong the classes of each variant are along the taxonomy, and how specific it could answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmdet_multigrain.evaluation.functional.answer_metrics import (
    MatchedDetections,
    accuracy_specificity,
    resample_matches,
)
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.table import Table

from .comparison import Comparison, Draws, compare_scores
from .formats import capital
from .measures import DIFFERENCE, Measures, Metric, coarse_levels
from .run import Run, complete_variants
from .tables import score_cells, variant_columns, words


@dataclass(frozen=True, eq=False)
class AnswerComparison:
    """Variants compared by their detections that show an object."""

    comparison: Comparison  # scores and gains by the keys of `score_matches`
    matched: Mapping[str, Sequence[MatchedDetections]]  # these detections of each run, by variant
    # names of the levels to tell apart, as numbered in `MatchedDetections`: the class, then the
    # groups that do not just repeat the classes, the coarsest last
    levels: Mapping[int, str]
    min_score: float  # lowest score of any detection; they all count

    @property
    def with_lineages(self) -> dict[str, Sequence[MatchedDetections]]:
        """Those of the variants whose runs all have lineages."""
        return {
            name: runs
            for name, runs in self.matched.items()
            if all(run.lineages is not None for run in runs)
        }


def compare_answers(
    runs: Sequence[Run], comparison: Comparison, *, seed: int = 0, progress: bool = False
) -> AnswerComparison | None:
    """Compare the variants whose runs all have detections.

    Args:
        runs: The runs of the comparison.
        comparison: Gives the baseline, unless that has no detections, and the number of resamples.
        seed: Of the bootstrap; with that of `compare`, the resamples are the same.
        progress: Show the bootstrap's progress.

    Returns:
        The comparison, the baseline first; None without groups, or if no detection shows an object.
    """
    runs = sorted(runs, key=lambda run: run.variant != comparison.baseline)
    complete = complete_variants(runs)
    levels = _levels(runs[0].result.taxonomy.hierarchy)
    tested = [run for own in complete.values() for run in own]
    matched = {
        run.name: MatchedDetections.of(run.boxes, run.detections, run.result.taxonomy)
        for run in tested
    }
    if len(levels) == 1 or not any(len(one.photos) for one in matched.values()):
        return None
    resamples = comparison.resamples
    found = resample_matches([*matched.values()], resamples=resamples, seed=seed, progress=progress)
    draws = dict(zip(matched, found, strict=True))
    scores = {
        name: {run.name: {key: float(of[0]) for key, of in draws[run.name].items()} for run in own}
        for name, own in complete.items()
    }
    what = Measures(_metrics(levels, found), ())
    # Of each metric the fewest photos of any run count: with a match, or with a wrong class.
    with_match = min(len(np.unique(one.photos)) for one in matched.values())
    with_wrong = min(len(np.unique(one.photos[one.wrong[:, 0]])) for one in matched.values())
    num_images = {
        one.key: with_wrong if one.key.startswith('within') else with_match for one in what.metrics
    }
    resampled = Draws(draws, {run.name: run.seed for run in tested}, num_images)
    baseline = next(iter(complete))  # that of the comparison, if it has detections
    return AnswerComparison(
        compare_scores(
            scores, what, baseline, resampled if resamples else None, resamples=resamples
        ),
        {name: [matched[run.name] for run in own] for name, own in complete.items()},
        levels,
        min(run.detections.scores.min(initial=np.inf) for run in tested),
    )


def pooled_curve(runs: Sequence[MatchedDetections]) -> tuple[np.ndarray, np.ndarray]:
    """(P,) accuracy and specificity of all runs together, each match counting once."""
    columns = {
        name: np.concatenate([getattr(run, name) for run in runs])
        for name in ('photos', 'labels', 'truths', 'lineages')
    }
    weights = np.ones((runs[0].num_photos, 1))
    _, accuracy, specificity = accuracy_specificity(replace(runs[0], **columns), weights)
    return accuracy[:, 0], specificity[:, 0]


def answer_table(comparison: Comparison) -> Table:
    """Scores along the taxonomy, none in bold: some are better if they are lower."""
    variants = comparison.variants
    rows = ((one.title, score_cells(variants, one.key)) for one in comparison.metrics)
    return Table(
        [words('what'), *variant_columns(variants)],
        [(capital(title), *(replace(cell, bold=False) for cell in cells)) for title, cells in rows],
    )


def _levels(taxonomy: Taxonomy) -> dict[int, str]:
    coarse, levels = coarse_levels(taxonomy), {0: 'class'}
    for level in reversed(coarse):
        name = 'superclass' if len(coarse) == 1 else f'group of level {level}'
        levels[taxonomy.num_levels - 1 - level] = name
    return levels


def _metrics(
    levels: Mapping[int, str], scores: Sequence[Mapping[str, np.ndarray]]
) -> tuple[Metric, ...]:
    """What is shown, in order. Precision and recall are left out where they equal F1 in all runs."""
    titles = {f'wrong_{level}': f'wrong {name}' for level, name in levels.items()}
    for level, name in list(levels.items())[1:]:
        titles[f'within_{level}'] = f'of the wrong classes, in the right {name}'
    if all(np.array_equal(one['hP'], one['hR'], equal_nan=True) for one in scores):
        titles['hF1'] = 'hierarchical precision, recall and F1 (equal here)'
    else:
        titles |= {'hP': 'hierarchical precision', 'hR': 'hierarchical recall'}
        titles['hF1'] = 'hierarchical F1'
    if any('area' in one for one in scores):
        titles['area'] = 'area under accuracy over specificity'
        titles |= {f'ece_{level}': f'calibration error, {name}' for level, name in levels.items()}
    return tuple(Metric(key, title, DIFFERENCE) for key, title in titles.items())
