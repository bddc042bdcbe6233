"""The paper's figure 4 for an experiment: the gain of each class, by falling training boxes."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mmdet_multigrain.report.axes import axes_in_inches, color_legend
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.visualization import style
from mmdet_multigrain.visualization.palette import superclass_colors

from .plan import Experiment
from .why import ClassGain, mean_interval

ROW, LEFT, WIDTH, RIGHT, FOOT, HEAD = 0.24, 1.9, 4.2, 1.5, 0.6, 0.3  # inches


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
