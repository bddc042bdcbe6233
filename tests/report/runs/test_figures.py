"""Figures of a report: the drawn values are those of the numbers."""

import dataclasses
import math

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from mmdet_multigrain.evaluation.functional.confusion import measure_confusion
from mmdet_multigrain.report.runs import figures as run_figures
from mmdet_multigrain.report.runs.comparison import compare_paper
from mmdet_multigrain.report.runs.diagnostics import diagnose_variants
from mmdet_multigrain.report.runs.load import load_runs
from mmdet_multigrain.report.runs.paper import load_paper
from mmdet_multigrain.visualization import style
from mmdet_multigrain.visualization.palette import superclass_colors

from .made_runs import TAXONOMY, gain, write_runs


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


def test_class_gains_name_both_numbers_of_boxes():
    paper = load_paper('df2')
    comparison = compare_paper(paper)
    rows = tuple(dataclasses.replace(row, val_boxes=1042) for row in comparison.classes)
    with style.drawing() as figure:
        comparison = dataclasses.replace(comparison, classes=rows)
        run_figures.class_gains(figure, comparison, superclass_colors(paper.taxonomy))
        assert labels(figure.axes[0])[1] == 'sling (1,985 / 1,042)'


def test_whiskers_and_pale_bars():
    paper = load_paper('df2')
    comparison = compare_paper(paper)
    colors = superclass_colors(paper.taxonomy)
    baseline, _, _, variant = comparison.variants
    keys = [row.key for row in comparison.classes]
    gains = {
        **variant.gains,
        keys[0]: gain(0.02, 0.07),
        keys[1]: gain(0.02, 0.01),
        keys[2]: gain(math.nan, math.nan, images=0),
        keys[3]: gain(0.01, 0.03, seeds=False),  # not marked, though its interval contains 0
        keys[4]: gain(0.03, 0.01, images=2),
    }
    comparison = dataclasses.replace(
        comparison, variants=(baseline, dataclasses.replace(variant, gains=gains))
    )
    with style.drawing() as figure:
        run_figures.class_gains(figure, comparison, colors)
        (axes,) = figure.axes
        whiskers = [list(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2]
        expected = [[-5, 9], [1, 3], [-2, 4]]
        assert [pytest.approx(ends, abs=1e-5) for ends in expected] == whiskers[-3:]
        rows = comparison.classes[:2] + comparison.classes[3:5]  # bars; one has no boxes
        pale = [True, False, False, True]
        for bar, row, is_pale in zip(axes.patches, rows, pale, strict=False):
            color = colors[row.superclasses[0]]
            expected = style.tint(color, 0.3) if is_pale else to_rgb(color)
            assert bar.get_facecolor()[:3] == pytest.approx(expected)
        texts = [text.get_text() for text in axes.texts]
        assert len(axes.patches) == 12
        assert texts.count('no boxes') == 1 and texts.count('too few boxes') == 1
        assert axes.get_xlim()[0] < -5 and axes.get_xlim()[1] > 9


def test_names_without_a_font_are_numbers(runs):
    paper = load_paper('df2')
    comparison = compare_paper(paper)
    rows = [
        dataclasses.replace(row, name=f'\ue100{row.name}', label=12 - place)
        for place, row in enumerate(comparison.classes)
    ]
    rows[0] = dataclasses.replace(rows[0], name='юбка')
    baseline, *_, variant = comparison.variants
    variants = baseline, dataclasses.replace(variant, name='\ue101')
    comparison = dataclasses.replace(comparison, classes=tuple(rows), variants=variants)
    with style.drawing() as figure:
        run_figures.class_gains(figure, comparison, superclass_colors(paper.taxonomy))
        names = [name.partition(' (')[0] for name in labels(figure.axes[0])]
        assert names == ['юбка', *(f'class {12 - place}' for place in range(1, 13))]
        assert figure.axes[0].texts[-1].get_text() == '\\ue101'
    confusion = measure_confusion(runs[2].ground_truth, runs[2].detections, TAXONOMY)
    names = [f'\ue100{name}' for name in confusion.names]
    with style.drawing() as figure:
        run_figures.confusion_matrix(figure, dataclasses.replace(confusion, names=tuple(names)))
        assert labels(figure.axes[0]) == [f'class {label}' for label in confusion.labels]


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
