"""Figures of a report: the drawn values are those of the numbers."""

import dataclasses
import math

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from mmdet_multigrain.evaluation.functional.bootstrap import Interval
from mmdet_multigrain.evaluation.functional.confusion import measure_confusion
from mmdet_multigrain.report.runs import figures as run_figures
from mmdet_multigrain.report.runs.comparison import Gain, compare_paper
from mmdet_multigrain.report.runs.diagnostics import diagnose_variants
from mmdet_multigrain.report.runs.load import load_runs
from mmdet_multigrain.report.runs.paper import load_paper
from mmdet_multigrain.visualization import style
from mmdet_multigrain.visualization.palette import superclass_colors

from .made_runs import TAXONOMY, write_runs


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    return load_runs(write_runs(tmp_path_factory.mktemp('runs')))


@pytest.fixture(scope='module')
def analyses(runs):
    return diagnose_variants(runs)


def labels(axes):
    return [text.get_text() for text in axes.get_yticklabels()]


def test_class_gains():
    paper = load_paper('df2')
    comparison = compare_paper(paper)
    colors = superclass_colors(paper.taxonomy)
    with style.drawing() as figure:
        run_figures.class_gains(figure, comparison, colors)
        panels = figure.axes
        assert len(panels) == 3 and labels(panels[0])[0] == 'short sleeve outwear (543)'
        assert labels(panels[1]) == []
        assert len({axes.get_xlim() for axes in panels}) == 1
        widths = [bar.get_width() for bar in panels[2].patches]
        assert widths[:2] == pytest.approx([4.06, 4.04])
        tops = [bar.get_facecolor()[:3] for bar in panels[2].patches]
        assert tops[0] == to_rgb(colors['top']) and tops[2] == to_rgb(colors['one-piece dress'])
        assert panels[0].get_ylim()[0] > panels[0].get_ylim()[1]  # the rarest on top


def test_whiskers_and_pale_bars():
    paper = load_paper('df2')
    comparison = compare_paper(paper)
    colors = superclass_colors(paper.taxonomy)
    baseline, _, _, variant = comparison.variants
    keys = [row.key for row in comparison.classes]
    gains = {
        **variant.gains,
        keys[0]: Gain(0.02, Interval(0.02, -0.01, 0.09, 9)),
        keys[1]: Gain(0.02, Interval(0.02, 0.01, 0.03, 9)),
        keys[2]: Gain(math.nan, Interval(math.nan, math.nan, math.nan, 0)),
    }
    comparison = dataclasses.replace(
        comparison, variants=(baseline, dataclasses.replace(variant, gains=gains))
    )
    with style.drawing() as figure:
        run_figures.class_gains(figure, comparison, colors)
        (axes,) = figure.axes
        whiskers = [list(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2]
        assert [pytest.approx([-1, 9]), pytest.approx([1, 3])] == whiskers[-2:]
        assert axes.patches[0].get_facecolor()[:3] == pytest.approx(style.tint(colors['top'], 0.3))
        assert axes.patches[1].get_facecolor()[:3] == to_rgb(colors['top'])
        assert len(axes.patches) == 12 and 'no boxes' in [text.get_text() for text in axes.texts]
        assert axes.get_xlim()[0] < -1 and axes.get_xlim()[1] > 9


def test_error_kinds(analyses):
    with style.drawing() as figure:
        run_figures.error_kinds(figure, analyses)
        (axes,) = figure.axes
        assert labels(axes) == ['wgroup_r18_made', 'baseline_r18_made', 'merged_r18_made']
        widths = np.array([bar.get_width() for bar in axes.patches]).reshape(3, 8)
        expected = [[max(0, 100 * cost.delta_ap) for cost in one.costs] for one in analyses]
        np.testing.assert_allclose(widths, expected)
        starts = np.array([bar.get_x() for bar in axes.patches]).reshape(3, 8)
        np.testing.assert_allclose(starts[:, 1:], np.cumsum(widths, axis=1)[:, :-1])
        assert [text.get_text() for text in axes.get_legend().get_texts()] == [
            cost.name for cost in analyses[0].costs
        ]


def test_confusion_matrix(runs):
    confusion = measure_confusion(runs[2].ground_truth, runs[2].detections, TAXONOMY)
    with style.drawing() as figure:
        run_figures.confusion_matrix(figure, confusion)
        (axes,) = figure.axes
        np.testing.assert_array_equal(axes.images[0].get_array(), confusion.shares[:-1])
        assert labels(axes) == list(confusion.names)
        # A frame around each superclass of more than one class.
        assert [(frame.get_x(), frame.get_width()) for frame in axes.patches] == [
            (-0.5, 2),
            (1.5, 2),
        ]
        shown = sorted(int(text.get_text()) for text in axes.texts)
        shares = confusion.shares[:-1]
        assert shown == sorted(round(100 * share) for share in shares[shares >= 0.005])


def test_calibration(analyses):
    with style.drawing() as figure:
        run_figures.calibration(figure, analyses)
        diagonal, *lines = figure.axes[0].lines
        assert len(lines) == 3 and list(diagonal.get_xdata()) == [0, 1]
        assert list(lines[0].get_ydata()) == [part.precision for part in analyses[0].score_bins]


@pytest.mark.parametrize('kind', ['png', 'svg'])
def test_the_same_bytes_again(analyses, kind):
    first, second = (style.render(run_figures.error_kinds, analyses) for _ in range(2))
    assert first[kind] == second[kind]
