"""Figures of an experiment: the scores of its variants, and the paper's figure 4 (class gains)."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mmdet_multigrain.report.axes import axes_in_inches, color_legend
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.visualization import style
from mmdet_multigrain.visualization.palette import superclass_colors

from .plan import Experiment, Results
from .why import ClassGain, mean_interval

ROW, LEFT, WIDTH, RIGHT, FOOT, HEAD = 0.24, 1.9, 4.2, 1.5, 0.6, 0.3  # inches
PANEL, GAP = 2.7, 0.3
BAR = '#8da0cb'


def score_figure(
    figure: Figure, experiment: Experiment, results: Results, labels: Mapping[str, str]
) -> None:
    """Draw the scores of the variants whose replicates are done: their mean as a bar, each as a dot.

    Variants with one replicate are left out. The panels are the primary measure and the first further
    one; the rows go from the lowest mean of the primary measure to the highest.

    Args:
        figure: An empty figure (`style.render`).
        experiment: The experiment.
        results: Its results.
        labels: Of the variants that have others than their names.
    """
    measures = [experiment.primary['measure'], *experiment.measures[:1]]
    scores = {
        one.name: [results[one.name, number]['scores'] for number in numbers]
        for one in experiment.variants
        if one.labels == 'classes'
        and len(numbers := experiment.numbers(one.name)) > 1
        and all((one.name, number) in results for number in numbers)
    }

    def mean(name: str, measure: str) -> float:
        return statistics.fmean(row[measure] for row in scores[name])

    names = sorted(scores, key=lambda name: mean(name, measures[0]))
    height = ROW * len(names)
    width = len(measures) * (PANEL + GAP) - GAP
    texts = [labels.get(name, name) for name in names]
    left = max(LEFT, 0.2 + 0.082 * max(map(len, texts)))
    size = (left + width + 0.2, FOOT + height + HEAD)
    for place, measure in enumerate(measures):
        corner = (left + place * (PANEL + GAP), FOOT)
        axes = axes_in_inches(figure, size, corner, (PANEL, height))
        for row, name in enumerate(names):
            axes.barh(row, mean(name, measure), height=0.6, color=BAR)
            values = [one[measure] for one in scores[name]]
            axes.plot(values, [row] * len(values), 'o', markersize=3, color=style.INK)
        axes.set_yticks([] if place else range(len(names)), [] if place else texts)
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.set_xlabel(measure)


def gain_figure(
    figure: Figure,
    experiment: Experiment,
    metric: str,
    gains: Sequence[ClassGain],
    taxonomy: Taxonomy,
) -> None:
    """Draw the mean gain of each class with its interval over the replicates, in points.

    Args:
        figure: An empty figure (`style.render`).
        experiment: The experiment.
        metric: What is gained.
        gains: Of the classes, in the order of the rows.
        taxonomy: Their groups, which have a color each.
    """
    height = ROW * len(gains)
    size = (LEFT + WIDTH + RIGHT, FOOT + height + HEAD)
    axes = axes_in_inches(figure, size, (LEFT, FOOT), (WIDTH, height))
    colors = superclass_colors(taxonomy)
    axes.axvline(0, color=style.MUTED, linewidth=0.8)
    for row, one in enumerate(gains):
        mean, half = mean_interval(one.gains)
        bar = {} if half != half else dict(xerr=half, elinewidth=1.2, capsize=2)
        axes.errorbar(mean, row, fmt='o', markersize=5, color=colors[one.group], **bar)
    names = style.readable(tuple(one.name for one in gains))
    rows = [f'{name} ({one.boxes:.0f})' for name, one in zip(names, gains, strict=True)]
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    variant, reference = map(style.escaped, experiment.pair)
    axes.set_xlabel(f'{metric} of {variant} minus {reference}, with the 95% interval')
    groups = dict.fromkeys(one.group for one in gains)
    legend = [
        (Line2D([], [], color=colors[group], marker='o', linestyle=''), style.escaped(group))
        for group in groups
    ]
    at = ((LEFT + WIDTH + 0.15) / size[0], (FOOT + height) / size[1])
    color_legend(figure, legend, 'upper left', at, title='superclass', title_fontsize=8)
