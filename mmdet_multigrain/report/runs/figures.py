"""Figures of a report on runs: gains, errors, answers along the taxonomy, confusions, calibration.

Each function draws on an empty figure; see `style.render`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mmdet_multigrain.evaluation.functional.confusion import Confusion
from mmdet_multigrain.utils.table import shorten
from mmdet_multigrain.visualization import style
from mmdet_multigrain.visualization.palette import HUES
from mmdet_multigrain.visualization.style import INK, MUTED

from ..axes import axes_in_inches, color_legend, label
from .answers import AnswerComparison, pooled_curve
from .comparison import Comparison, Gain, Variant
from .diagnostics import VariantDiagnostics
from .formats import TOO_FEW
from .measures import ClassEntry, known_boxes
from .tables import real_groups

_ROW = 0.235  # height of a class, in inches
_NAME, _GROUP = 34, 24  # letters
# Names, all panels together, the least of one panel, between panels, in inches.
_LEFT, _PANELS, _PANEL, _GAP = 2.75, 7.2, 1.6, 0.3
_KIND_COLORS = '#56b4e9 #0072b2 #e69f00 #f5d9a8 #b5c563 #cc79a7 #8a8a8a #333333'.split()
_RIGHT = '#e3e3e3'
_SHADES = LinearSegmentedColormap.from_list('shades', ['#ffffff', '#9ecae1', '#2171b5', '#08306b'])
_MARKERS = 'osD^vPX*'
_NUMBERS_UP_TO = 24  # classes; with more, numbers do not fit in the cells of a confusion matrix
_NAMES_UP_TO = 80


def class_gains(figure: Figure, comparison: Comparison, colors: Mapping[str, str]) -> None:
    """Figure 4: gain of each class over the baseline, one panel per variant.

    `colors` are those of the superclasses.
    """
    others, rows = comparison.others, comparison.classes
    height = _ROW * len(rows)
    # A lone panel would be too wide to compare its bars.
    panels = max(_PANELS, _PANEL * len(others)) if len(others) > 1 else 0.72 * _PANELS
    width = (panels - _GAP * (len(others) - 1)) / len(others)
    size = (_LEFT + panels + 0.2, height + 1.5)
    limits = _gain_limits(comparison)
    known = known_boxes(rows)
    names = []
    for row in rows:
        boxes = ' / '.join(f'{getattr(row, key) or 0:,}' for key in known)
        names.append(f'{shorten(style.shown(row.name, row.label), _NAME)} ({boxes})')
    for number, variant in enumerate(others):
        corner = (_LEFT + number * (width + _GAP), 0.75)
        axes = axes_in_inches(figure, size, corner, (width, height))
        _gain_panel(axes, rows, variant, colors)
        axes.set(xlim=limits, ylim=(len(rows) - 0.4, -0.6))
        axes.set_xlabel(f'gain in AP over {shorten(style.escaped(comparison.baseline), _GROUP)}')
        axes.set_yticks([] if number else range(len(rows)), [] if number else names)
        title = {'fontsize': 10, 'fontweight': 'bold', 'color': INK, 'xycoords': 'axes fraction'}
        label(axes, shorten(style.escaped(variant.name), _NAME), (0, 1), (0, 6), **title)
    _color_legend(figure, comparison, colors, (_LEFT / size[0], 0.22 / size[1]))


def error_kinds(figure: Figure, diagnostics: Sequence[VariantDiagnostics]) -> None:
    """Rise in AP50 if the errors of one kind were fixed, stacked for each variant."""
    height, left, width = 0.46 * len(diagnostics), 1.7, 7.2
    size = (left + width + 0.2, height + 1.75)
    axes = axes_in_inches(figure, size, (left, 0.5), (width, height))
    # A fix that lowers AP has no bar.
    bars = {
        one.variant: [max(0.0, 100 * cost.delta_ap) for cost in one.costs] for one in diagnostics
    }
    longest = max(0.01, *map(sum, bars.values()))
    _stacked_bars(axes, bars, _KIND_COLORS, whole=longest, form='.1f')
    axes.set_xlim(0, 1.01 * longest)
    axes.grid(axis='x')
    axes.set_xlabel('rise in AP50 if the errors of the kind were fixed (dAP)')
    _legend_above(axes, _KIND_COLORS, [cost.name for cost in diagnostics[0].costs], ncols=2)


def confusion_matrix(figure: Figure, confusion: Confusion) -> None:
    """Shares of each class's boxes (rows) by what they are taken for, ordered by superclass."""
    count = len(confusion.names)
    cell = max(0.15, min(0.36, 6.2 / count))
    left, top, width, height = 2.45, 2.1, cell * (count + 1), cell * count
    size = (left + width + 0.3, top + height + 0.45)
    axes = axes_in_inches(figure, size, (left, 0.45), (width, height))
    shares = confusion.shares[:-1]  # the background has no boxes
    axes.imshow(shares, cmap=_SHADES, vmin=0, vmax=1, aspect='equal', interpolation='nearest')
    names = [
        shorten(style.shown(name, label), 28) if count <= _NAMES_UP_TO else ''
        for name, label in zip(confusion.names, confusion.labels, strict=True)
    ]
    font_size = max(5.0, min(8.5, 72 * cell * 0.62))
    axes.set_yticks(range(count), names, fontsize=font_size)
    axes.set_xticks(range(count + 1), [*names, '(nothing)'], fontsize=font_size, rotation=90)
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
    _frame_superclasses(axes, confusion)
    if count > _NUMBERS_UP_TO:
        text = 'darker: a larger share of the row'
        label(axes, text, (0, 0), (0, -12), xycoords='axes fraction')
        return
    for row, column in zip(*np.nonzero(np.nan_to_num(shares) >= 0.005), strict=True):
        share = float(shares[row, column])
        ink = style.ink_on(_SHADES(share))
        _centered(axes, f'{100 * share:.0f}', (column, row), ink, fontsize=font_size)


def _frame_superclasses(axes: Axes, confusion: Confusion) -> None:
    for block in confusion.blocks[0] if confusion.blocks else ():
        size, corner = block.stop - block.start, block.start - 0.5
        if size > 1:
            line = {'edgecolor': '#d55e00', 'linewidth': 1.5, 'zorder': 3, 'clip_on': False}
            axes.add_patch(Rectangle((corner, corner), size, size, fill=False, **line))


def calibration(figure: Figure, diagnostics: Sequence[VariantDiagnostics]) -> None:
    """Precision of the detections in each bin of scores, for each variant."""
    width, height = size = (5.6, 4.1)
    figure.set_size_inches(*size)
    axes = figure.add_axes((0.11, 0.12, 0.62, 0.62 * width / height))
    line = {'color': MUTED, 'linewidth': 0.9, 'linestyle': (0, (4, 3))}
    axes.plot([0, 1], [0, 1], label='as many hits as\nthe scores say', **line)
    for one, color, marker in zip(diagnostics, cycle(HUES), cycle(_MARKERS), strict=False):
        points = zip(*((part.score, part.precision) for part in one.score_bins), strict=True)
        line = {'color': color, 'linewidth': 1.4, 'marker': marker, 'markersize': 5}
        axes.plot(*points, label=shorten(style.escaped(one.variant), _GROUP), **line)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set(xlabel='score of the detection', ylabel='share of hits (IoU 0.5)')
    _grid_and_legend(axes)


def answers(figure: Figure, answers: AnswerComparison) -> None:
    """Matched detections by the finest node that is right; accuracy over specificity below."""
    height, left, width = 0.46 * len(answers.matched), 1.7, 7.2
    below = 4.1 if answers.with_lineages else 0
    size = (left + width + 0.2, below + height + 1.25)
    axes = axes_in_inches(figure, size, (left, below + 0.5), (width, height))
    names = list(answers.levels.values())
    texts = ['right class', *(f'only the right {name}' for name in names[1:])]
    texts.append(f'wrong {names[-1]}')
    within, across = _KIND_COLORS[:2]  # as for errors
    shades = [to_hex(style.tint(within, 1 / number)) for number in range(1, len(names))]
    colors = [_RIGHT, *shades, across]
    bars = {}
    for name, runs in answers.matched.items():
        wrong = np.concatenate([run.wrong for run in runs])[:, list(answers.levels)]
        counts = np.bincount(wrong.sum(axis=1), minlength=len(colors))
        bars[name] = 100 * counts / max(len(wrong), 1)
    _stacked_bars(axes, bars, colors, whole=100, form='.0f')
    axes.set_xlim(0, 100)
    axes.set_xlabel('% of the detections that show an object')
    _legend_above(axes, colors, texts, ncols=4)
    if answers.with_lineages:
        corner = (left, 0.5)
        _answer_curves(axes_in_inches(figure, size, corner, (4.6, below - 0.9)), answers)


def _answer_curves(axes: Axes, answers: AnswerComparison) -> None:
    """Accuracy over specificity, of all runs of a variant together."""
    for (name, runs), color, marker in zip(
        answers.with_lineages.items(), cycle(HUES), cycle(_MARKERS), strict=False
    ):
        if not any(len(run.photos) for run in runs):
            continue
        accuracy, specificity = pooled_curve(runs)
        mark = {'color': color, 'marker': marker, 'markersize': 8, 'markerfacecolor': 'none'}
        line = {'label': shorten(style.escaped(name), _GROUP), 'linewidth': 1.4, 'markevery': []}
        axes.plot(specificity, accuracy, **line, **mark)
        for level in answers.levels:
            right = np.mean(np.concatenate([~run.wrong[:, level] for run in runs]))
            told = np.mean(np.concatenate([run.information[:, level] for run in runs]))
            axes.plot([told], [right], linewidth=0, markeredgewidth=1.8, **mark)
    axes.set(xlim=(0, 1.02), ylim=(None, 1))
    axes.set(xlabel='specificity of the answers', ylabel='share of answers that are right')
    _grid_and_legend(axes)


def _grid_and_legend(axes: Axes) -> None:
    axes.grid()
    axes.legend(loc='upper left', bbox_to_anchor=(1.02, 1), fontsize=8, borderaxespad=0)


def _stacked_bars(
    axes: Axes,
    bars: Mapping[str, Sequence[float]],
    colors: Sequence[str],
    *,
    whole: float,
    form: str,
) -> None:
    """A bar for each name with its lengths end to end; numbers on those of 5% of the whole on."""
    for row, lengths in enumerate(bars.values()):
        for end, length, color in zip(np.cumsum(lengths), lengths, colors, strict=True):
            bar = {'color': color, 'edgecolor': style.PAPER, 'linewidth': 0.8}
            axes.barh(row, length, left=end - length, height=0.66, **bar)
            if length >= 0.05 * whole:
                middle = (end - length / 2, row)
                _centered(axes, f'{length:{form}}', middle, style.ink_on(color))
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.set_yticks(range(len(bars)), [shorten(style.escaped(name), _GROUP) for name in bars])
    axes.tick_params(axis='y', length=0)


def _legend_above(axes: Axes, colors: Sequence[str], texts: Sequence[str], *, ncols: int) -> None:
    entries = list(zip(colors, texts, strict=True))
    room = {'ncols': ncols, 'borderaxespad': 0.4, 'handlelength': 1.3}
    color_legend(axes, entries, 'lower left', (0, 1), **room)


def _gain_panel(
    axes: Axes, rows: Sequence[ClassEntry], variant: Variant, colors: Mapping[str, str]
) -> None:
    """Bars with whiskers; pale where they may be noise, or have too few boxes."""
    axes.axvline(0, color=INK, linewidth=0.9, zorder=3)
    axes.grid(axis='x')
    axes.tick_params(axis='y', length=0)
    axes.spines['left'].set_visible(False)
    for place, row in enumerate(rows):
        gain = variant.gains[row.key]
        if math.isnan(gain.value):
            label(axes, 'no boxes', (0, place), (4, 0), va='center', fontsize=7.5)
            continue
        color = colors[row.superclasses[0] if row.superclasses else row.name]
        pale = gain.may_be_noise or gain.too_few_boxes
        fill = style.tint(color, 0.3) if pale else color
        bar = {'color': fill, 'edgecolor': color, 'linewidth': 0.9, 'zorder': 2}
        axes.barh(place, 100 * gain.value, height=0.68, **bar)
        if gain.too_few_boxes:  # on the pale bar: next to a long one there is no room
            label(axes, TOO_FEW, (0, place), (4, 0), va='center', fontsize=7.5, zorder=4)
        if whisker := _ends(gain):
            line = {'color': INK, 'linewidth': 1.1, 'marker': '|', 'markersize': 5, 'zorder': 4}
            axes.plot(whisker, [place, place], **line)


def _ends(gain: Gain) -> list[float]:
    """Both ends of the interval in percent; empty without one."""
    if not gain.has_ends:
        return []
    return [100 * gain.interval.low, 100 * gain.interval.high]


def _gain_limits(comparison: Comparison) -> tuple[float, float]:
    """Ends of the x axis: the same for all panels, with room for all whiskers."""
    gains = [variant.gains[row.key] for variant in comparison.others for row in comparison.classes]
    values = [0.0, *(100 * gain.value for gain in gains if not math.isnan(gain.value))]
    values += [end for gain in gains for end in _ends(gain)]
    low, high = min(values), max(values)
    room = 0.04 * max(high - low, 1)
    return low - room, high + room


def _color_legend(
    figure: Figure, comparison: Comparison, colors: Mapping[str, str], at: tuple[float, float]
) -> None:
    """The color of each superclass, in order of appearance."""
    rows = comparison.classes
    groups = real_groups(rows)
    numbers = {row.name: row.label for level in comparison.superclasses[:1] for row in level}
    names = dict.fromkeys(name for row in rows for name in row.superclasses[:1] if name in groups)
    if names:
        shown = {name: style.shown(name, numbers.get(name, 0), 'group') for name in names}
        entries = [(colors[name], shorten(shown[name], _GROUP)) for name in names]
        color_legend(figure, entries, 'upper left', at, ncols=min(5, len(names)))


def _centered(
    axes: Axes, text: str, at: tuple[float, float], color: str, fontsize: float = 8
) -> None:
    axes.annotate(text, at, ha='center', va='center', fontsize=fontsize, color=color)
