"""What is left out of calls: the defaults are a part of the interface."""

from __future__ import annotations

import pytest

from mmdet_multigrain.report.dataset import tables
from mmdet_multigrain.report.gallery import browse, drawing
from mmdet_multigrain.report.runs import answers, claims, comparison, diagnostics, measures

from ..signatures import defaults

DEFAULTS = {
    tables.superclass_table: dict(level=0),
    browse.browse: dict(width=480, progress=False),
    drawing.case_label: dict(cross=False),
    drawing.case_mark: dict(cross=False),
    answers.compare_answers: dict(seed=0, progress=False),
    claims.chance: dict(over_seeds='chance'),
    comparison.compare: dict(resamples=2000, seed=0, progress=False),
    comparison.compare_paper: dict(baseline='baseline'),
    diagnostics.diagnose_variants: dict(progress=False),
    measures.class_key: dict(at_50=False),
}


@pytest.mark.parametrize('function', DEFAULTS, ids=lambda one: one.__qualname__)
def test_defaults(function):
    assert defaults(function) == DEFAULTS[function]
