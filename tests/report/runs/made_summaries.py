"""Runs of given APs, without detections, and what a comparison says of them."""

import math

from mmdet_multigrain.evaluation.functional.summary import (
    Bucket,
    ClassScore,
    EvaluationSummary,
    LevelScore,
)
from mmdet_multigrain.evaluation.result_file import Result
from mmdet_multigrain.report.runs.run import Run
from mmdet_multigrain.taxonomy import Taxonomy

NAN = math.nan
TAXONOMY = Taxonomy.load({'groups': {'top': ['a', 'b'], 'bottom': ['c', 'd']}})
COUNTS = (30, 10, 20, 40)


def run(variant, seed, aps, *, train=COUNTS, ap=None, superclass_ap=0.5, class_sets=()):
    """A run of these APs by class; its AP is their mean unless it is given."""
    known = [value for value in aps if not math.isnan(value)]
    level = LevelScore(
        {'AP': sum(known) / len(known) if ap is None else ap, 'AP50': 0.8, 'APs': NAN},
        tuple(
            ClassScore(name, ('top' if name in 'ab' else 'bottom',), boxes, 5, value, 0.8, 0.3)
            for name, boxes, value in zip('abcd', train or [None] * 4, aps, strict=True)
        ),
    )
    coarse = LevelScore(
        {'AP': superclass_ap},
        tuple(
            ClassScore(name, (), None, 10, value, 0.9, 0.4)
            for name, value in (('top', superclass_ap), ('bottom', superclass_ap + 0.1))
        ),
    )
    bucket = Bucket('', '', (), NAN, NAN)
    summary = EvaluationSummary(
        (coarse, level), bucket, (bucket,) * 3, 3, 9, 100, 'hotcoco', class_sets=class_sets
    )
    return Run(
        f'{variant} {seed}',
        variant,
        seed,
        f'{variant}{seed}.json',
        Result(summary, TAXONOMY),
        None,
        None,
    )


def gains(comparison, name, *keys):
    return [comparison.variant(name).gains[key].value for key in keys]


def class_gain(comparison, name, one):
    return comparison.variant(name).gains[f'class:{one}']
