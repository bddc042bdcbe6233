"""Figures of a report on runs: gain per class, errors by kind, confusion matrix, calibration.

Each function draws on an empty figure, see `style.render`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from mmdet_multigrain.evaluation.functional.confusion import Confusion
from mmdet_multigrain.visualization import style
from mmdet_multigrain.visualization.style import INK, MUTED

from ..table import shorten
from .comparison import ComparedClass, Comparison, Variant
from .diagnostics import VariantAnalysis
from .tables import real_groups

_ROW = 0.235  # height of a class, in inches
_NAME, _GROUP = 34, 24  # letters
# Names, all panels together, the least of one panel, between panels, in inches.
_LEFT, _PANELS, _PANEL, _GAP = 2.75, 7.2, 1.6, 0.3
_KIND_COLORS = (
    '#56b4e9',
    '#0072b2',
    '#e69f00',
    '#f5d9a8',
    '#b5c563',
    '#cc79a7',
    '#8a8a8a',
    '#333333',
)
_SHADES = LinearSegmentedColormap.from_list('shades', ['#ffffff', '#9ecae1', '#2171b5', '#08306b'])
_MARKERS = 'osD^vPX*'
_NUMBERS_UP_TO = 24  # classes; with more, the cells of a confusion matrix are too small for numbers
_NAMES_UP_TO = 80


def class_gains(figure: Figure, comparison: Comparison, colors: Mapping[str, str]) -> None:
    """Figure 4: gain of each class over the baseline, one panel for each variant.

    Args:
        figure: An empty one.
        comparison: Classes from rare to frequent.
        colors: Of each superclass.
    """
    others = [variant for variant in comparison.variants if variant.gains]
    rows = comparison.classes
    height = _ROW * len(rows)
    # A lone panel would be too wide to compare its bars.
    panels = max(_PANELS, _PANEL * len(others)) if len(others) > 1 else 0.72 * _PANELS
    width = (panels - _GAP * (len(others) - 1)) / len(others)
    total = (_LEFT + panels + 0.2, height + 1.5)
    figure.set_size_inches(*total)
    low, high = _gain_limits(comparison, others)
    for number, variant in enumerate(others):
        axes = figure.add_axes(
            (
                (_LEFT + number * (width + _GAP)) / total[0],
                0.75 / total[1],
                width / total[0],
                height / total[1],
            )
        )
        _gain_panel(axes, rows, variant, colors)
        axes.set_xlim(low, high)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        if number:
            axes.set_yticks([])
        else:
            axes.set_yticks(
                range(len(rows)), [f'{shorten(row.name, _NAME)} ({_boxes(row):,})' for row in rows]
            )
        axes.set_xlabel(f'gain in AP over {shorten(comparison.baseline, _GROUP)}')
        axes.annotate(
            shorten(variant.name, _NAME),
            (0, 1),
            (0, 6),
            xycoords='axes fraction',
            textcoords='offset points',
            fontsize=10,
            fontweight='bold',
        )
    _color_legend(figure, rows, colors, total)


def error_kinds(figure: Figure, analyses: Sequence[VariantAnalysis]) -> None:
    """Rise in AP50 if the errors of one kind were fixed, stacked for each variant."""
    height, left, width = 0.46 * len(analyses), 1.7, 7.2
    total = (left + width + 0.2, height + 1.75)
    figure.set_size_inches(*total)
    axes = figure.add_axes((left / total[0], 0.5 / total[1], width / total[0], height / total[1]))
    for row, one in enumerate(analyses):
        start = 0.0
        for loss, color in zip(one.losses, _KIND_COLORS, strict=True):
            # A fix that lowers AP has no place in a stack.
            length = max(0.0, 0.0 if math.isnan(loss.gain) else 100 * loss.gain)
            axes.barh(
                row,
                length,
                left=start,
                height=0.66,
                color=color,
                edgecolor=style.PAPER,
                linewidth=0.8,
            )
            start += length
    longest = max(axes.dataLim.x1, 0.01)
    for row, one in enumerate(analyses):
        _segment_numbers(axes, row, one, 0.05 * longest)
    axes.set_xlim(0, 1.01 * longest)
    axes.set_ylim(len(analyses) - 0.5, -0.5)
    axes.set_yticks(range(len(analyses)), [shorten(one.variant, _GROUP) for one in analyses])
    axes.tick_params(axis='y', length=0)
    axes.grid(axis='x')
    axes.set_xlabel('rise in AP50 if the errors of the kind were fixed (dAP)')
    handles = [Patch(facecolor=color) for color in _KIND_COLORS]
    axes.legend(
        handles,
        [loss.name for loss in analyses[0].losses],
        loc='lower left',
        ncols=2,
        bbox_to_anchor=(0, 1.0),
        fontsize=8,
        borderaxespad=0.4,
        handlelength=1.3,
    )


def confusion_matrix(figure: Figure, confusion: Confusion) -> None:
    """Shares of each class's boxes (rows) by what they are taken for, ordered by superclass."""
    count = len(confusion.names)
    cell = max(0.15, min(0.36, 6.2 / count))
    left, top, width, height = 2.45, 2.1, cell * (count + 1), cell * count
    total = (left + width + 0.3, top + height + 0.45)
    figure.set_size_inches(*total)
    axes = figure.add_axes((left / total[0], 0.45 / total[1], width / total[0], height / total[1]))
    shares = confusion.shares[:-1]  # of the background there are no boxes
    axes.imshow(shares, cmap=_SHADES, vmin=0, vmax=1, aspect='equal', interpolation='nearest')
    names = [shorten(name, 28) if count <= _NAMES_UP_TO else '' for name in confusion.names]
    letters = max(5.0, min(8.5, 72 * cell * 0.62))
    axes.set_yticks(range(count), names, fontsize=letters)
    axes.set_xticks(range(count + 1), [*names, '(nothing)'], fontsize=letters, rotation=90)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.xaxis.set_label_position('top')
    axes.set_ylabel('class of the box', fontsize=9)
    axes.set_xlabel('taken for', fontsize=9)
    axes.spines[:].set_visible(True)
    for position in np.arange(0.5, count):
        axes.axhline(position, color='#ececec', linewidth=0.4)
        axes.axvline(position, color='#ececec', linewidth=0.4)
    axes.axvline(count - 0.5, color=MUTED, linewidth=0.8)
    for block in confusion.blocks[0] if confusion.blocks else ():
        if block.stop - block.start > 1:
            axes.add_patch(
                Rectangle(
                    (block.start - 0.5, block.start - 0.5),
                    block.stop - block.start,
                    block.stop - block.start,
                    fill=False,
                    edgecolor='#d55e00',
                    linewidth=1.5,
                    zorder=3,
                    clip_on=False,
                )
            )
    if count <= _NUMBERS_UP_TO:
        _cell_numbers(axes, shares, letters)
    else:
        axes.annotate(
            'darker: a larger share of the row',
            (0, 0),
            (0, -12),
            xycoords='axes fraction',
            textcoords='offset points',
            fontsize=8,
            color=MUTED,
        )


def calibration(figure: Figure, analyses: Sequence[VariantAnalysis]) -> None:
    """Share of hits among detections of about one score, for each variant."""
    total = (5.6, 4.1)
    figure.set_size_inches(*total)
    axes = figure.add_axes((0.11, 0.12, 0.62, 0.62 * total[0] / total[1]))
    axes.plot(
        [0, 1],
        [0, 1],
        color=MUTED,
        linewidth=0.9,
        linestyle=(0, (4, 3)),
        label='as many hits as\nthe scores say',
    )
    for number, one in enumerate(analyses):
        axes.plot(
            [part.score for part in one.score_ranges],
            [part.precision for part in one.score_ranges],
            color=style.COLORS[number % len(style.COLORS)],
            linewidth=1.4,
            marker=_MARKERS[number % len(_MARKERS)],
            markersize=5,
            label=shorten(one.variant, _GROUP),
        )
    axes.set(
        xlim=(0, 1), ylim=(0, 1), xlabel='score of the detection', ylabel='share of hits (IoU 0.5)'
    )
    axes.grid()
    axes.legend(loc='upper left', bbox_to_anchor=(1.02, 1), fontsize=8, borderaxespad=0)


def _gain_panel(
    axes: Axes, rows: Sequence[ComparedClass], variant: Variant, colors: Mapping[str, str]
) -> None:
    """Bars with whiskers; pale where the interval contains 0."""
    axes.axvline(0, color=INK, linewidth=0.9, zorder=3)
    axes.grid(axis='x')
    axes.tick_params(axis='y', length=0)
    axes.spines['left'].set_visible(False)
    for place, row in enumerate(rows):
        gain = variant.gains[row.key]
        if math.isnan(gain.value):
            axes.annotate(
                'no boxes',
                (0, place),
                (4, 0),
                textcoords='offset points',
                va='center',
                fontsize=7.5,
                color=MUTED,
            )
            continue
        color = colors[row.superclasses[0] if row.superclasses else row.name]
        axes.barh(
            place,
            100 * gain.value,
            height=0.68,
            edgecolor=color,
            linewidth=0.9,
            zorder=2,
            color=style.tint(color, 0.3) if gain.contains_zero else color,
        )
        if gain.interval is not None and not math.isnan(gain.interval.low):
            axes.plot(
                [100 * gain.interval.low, 100 * gain.interval.high],
                [place, place],
                color=INK,
                linewidth=1.1,
                marker='|',
                markersize=5,
                zorder=4,
            )


def _gain_limits(comparison: Comparison, others: Sequence[Variant]) -> tuple[float, float]:
    """Ends of the x axis: the same for all panels, with all whiskers."""
    values = [0.0]
    for variant in others:
        for row in comparison.classes:
            gain = variant.gains[row.key]
            ends = [] if gain.interval is None else [gain.interval.low, gain.interval.high]
            values += [100 * value for value in (gain.value, *ends) if not math.isnan(value)]
    low, high = min(values), max(values)
    room = 0.04 * max(high - low, 1)
    return low - room, high + room


def _boxes(row: ComparedClass) -> int:
    return (row.val_boxes or 0) if row.train_boxes is None else row.train_boxes


def _color_legend(
    figure: Figure,
    rows: Sequence[ComparedClass],
    colors: Mapping[str, str],
    total: tuple[float, float],
) -> None:
    """Which superclass has which color; the first that occurs first."""
    groups = real_groups(rows)
    grouped = {
        name: colors[name] for row in rows for name in row.superclasses[:1] if name in groups
    }
    if not grouped:
        return
    handles = [Patch(facecolor=color) for color in grouped.values()]
    figure.legend(
        handles,
        [shorten(name, _GROUP) for name in grouped],
        loc='upper left',
        bbox_to_anchor=(_LEFT / total[0], 0.22 / total[1]),
        fontsize=8,
        ncols=min(5, len(grouped)),
        handlelength=1.2,
        borderaxespad=0,
    )


def _segment_numbers(axes: Axes, row: int, one: VariantAnalysis, least: float) -> None:
    """The value in each part of a stacked bar that has room for it."""
    start = 0.0
    for loss, color in zip(one.losses, _KIND_COLORS, strict=True):
        length = max(0.0, 0.0 if math.isnan(loss.gain) else 100 * loss.gain)
        if length >= least:
            axes.annotate(
                f'{length:.1f}',
                (start + length / 2, row),
                ha='center',
                va='center',
                fontsize=8,
                color=style.ink_on(color),
            )
        start += length


def _cell_numbers(axes: Axes, shares: np.ndarray, letters: float) -> None:
    """Percent in each cell that rounds to 1 or more."""
    for row, column in zip(*np.nonzero(np.nan_to_num(shares) >= 0.005), strict=True):
        share = float(shares[row, column])
        axes.annotate(
            f'{100 * share:.0f}',
            (column, row),
            ha='center',
            va='center',
            fontsize=letters,
            color=style.ink_on(_SHADES(share)),
        )
