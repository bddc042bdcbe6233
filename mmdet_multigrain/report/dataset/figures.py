"""Figures of a data set's statistics: class counts, box sizes.

Each function draws on an empty figure, see `style.render`. The grouping has a module of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mmdet_multigrain.visualization import style
from mmdet_multigrain.visualization.style import FAINT, INK, MUTED

from ..table import display_width, shorten
from .stats import LARGE, SMALL, DatasetStats

LOG_FROM = 20  # imbalance ratio above which counts are drawn on a log axis
NO_SUPERCLASS = 'no superclass'
_WIDTH, _ROW = 5.4, 0.225  # of the axes and of a class in them, in inches
_LETTER = 0.068  # inches, on average, of the words beside a bar
_CLASS_NAME, _SUPERCLASS_NAME, _SPLIT_NAME = 32, 24, 24  # letters
_SHADE = '#f0f0f0'
_MARKERS = 'Dos^vP'


def class_counts(figure: Figure, stats: DatasetStats) -> None:
    """Boxes of each class as bars, colored by superclass, most first; the rarest 30 % marked."""
    order = stats.by_count
    counts = [stats.train.counts[label] for label in order]
    names = [stats.taxonomy.superclass_of(label) for label in order]
    words = [_words(stats, label) for label in order]
    axes = _rows(figure, len(order))
    low = _count_axis(axes, stats, words)
    shaded = len(order) - len(stats.rarest)
    axes.axhspan(shaded - 0.5, len(order) - 0.4, color=_SHADE, zorder=0, linewidth=0)
    _class_names(axes, [stats.taxonomy.classes[label] for label in order])
    colors = style.superclass_colors(stats.taxonomy)
    axes.barh(
        range(len(order)),
        [max(count - low, 0) for count in counts],
        left=low,
        height=0.72,
        color=[colors[name] for name in names],
    )
    for number, split in enumerate(stats.splits[1:]):
        axes.plot(
            [split.counts[label] or None for label in order], range(len(order)), **_marker(number)
        )
    for row, (label, text) in enumerate(zip(order, words, strict=True)):
        # A background, because grid lines would run through the letters.
        box = {'facecolor': style.PAPER if row < shaded else _SHADE, 'linewidth': 0, 'pad': 0.6}
        value = axes.annotate(
            f'{counts[row]:,}',
            (max(low, _end(stats, label)), row),
            (5, 0),
            va='center',
            fontsize=8,
            textcoords='offset points',
            bbox=box,
        )
        axes.annotate(
            text,
            (1, 0.5),
            (5, 0),
            xycoords=value,
            textcoords='offset points',
            va='center',
            fontsize=8,
            color=MUTED,
            bbox=box if text else None,
        )
    _legend(axes, stats)
    style.heading(axes, 'Boxes per class', summary(stats))


def box_sizes(figure: Figure, stats: DatasetStats) -> None:
    """Sizes of the boxes of each class: box plots on a log axis, one superclass after another."""
    groups = [
        (name, color, [label for label in labels if stats.train.counts[label]])
        for name, color, labels in superclass_groups(stats)
    ]
    order = [label for *_, labels in groups for label in labels]
    colors = [color for _, color, labels in groups for _ in labels]
    quantiles = [stats.train.classes[label].sizes.pixels for label in order]
    rows = range(len(order))
    axes = _rows(figure, len(order))
    low, high = min(row[0] for row in quantiles) / 1.25, max(row[-1] for row in quantiles) * 1.25
    style.log_axis(axes, low, high)
    axes.set_xlabel('size of a box: square root of its area in pixels (log scale)')
    _class_names(
        axes,
        [stats.taxonomy.classes[label] for label in order],
        [stats.train.counts[label] for label in order],
    )
    lowest, lower, middle, upper, highest = zip(*quantiles, strict=True)
    axes.hlines(rows, lowest, highest, colors=colors, linewidth=1.3, zorder=2)
    axes.barh(
        rows,
        [end - start for start, end in zip(lower, upper, strict=True)],
        left=lower,
        height=0.62,
        color=[style.tint(color, 0.6) for color in colors],
        edgecolor=colors,
        zorder=3,
    )
    axes.vlines(
        middle,
        [row - 0.31 for row in rows],
        [row + 0.31 for row in rows],
        colors=INK,
        linewidth=1.7,
        zorder=4,
    )
    _coco_ranges(axes, low, high)
    if stats.is_grouped:
        _group_names(axes, groups)
    style.heading(
        axes,
        'Box sizes per class',
        f'{stats.train.name} (how many boxes in brackets): box from 25 to 75 %, line at '
        'the median, whiskers from 5 to 95 %',
        above=14,
    )


def superclass_groups(stats: DatasetStats) -> list[tuple[str, str, tuple[int, ...]]]:
    """Name, color and classes of each superclass, most training boxes first.

    The classes that have no superclass come last, as one entry.
    """
    colors = style.superclass_colors(stats.taxonomy)
    groups: dict[str | None, list[int]] = {}
    for label in stats.by_count:
        name = stats.taxonomy.superclass_of(label) if stats.taxonomy.paths[label] else None
        groups.setdefault(name, []).append(label)
    boxes = {
        name: sum(stats.train.counts[label] for label in labels) for name, labels in groups.items()
    }
    return [
        (
            name or NO_SUPERCLASS,
            colors[stats.taxonomy.superclass_of(groups[name][0])],
            tuple(groups[name]),
        )
        for name in sorted(groups, key=lambda name: (name is None, -boxes[name]))
    ]


def summary(stats: DatasetStats) -> str:
    """The training set in a line."""
    train = stats.train
    return (
        f'{train.name}: {train.boxes:,} boxes in {train.num_images:,} images, '
        f'{stats.taxonomy.num_classes} classes, imbalance {train.imbalance:,.0f} : 1'
    )


def _rows(figure: Figure, count: int) -> Axes:
    """Axes with one row for each class, the first on top."""
    height = _ROW * count
    figure.set_size_inches(_WIDTH + 2, height + 1)
    axes = figure.add_axes(
        (1.5 / (_WIDTH + 2), 0.6 / (height + 1), _WIDTH / (_WIDTH + 2), height / (height + 1))
    )
    axes.set_ylim(count - 0.4, -0.6)
    axes.tick_params(axis='y', length=0)
    axes.grid(axis='x')
    return axes


def _count_axis(axes: Axes, stats: DatasetStats, words: Sequence[str]) -> float:
    """Scale the x axis for counts, so that the words behind the bars have room; its low end."""
    ends = [_end(stats, label) for label in stats.by_count]
    most = max(ends)
    logarithmic = stats.train.imbalance > LOG_FROM
    least = min(count for split in stats.splits for count in split.counts if count)
    low = 0.7 * 10 ** (len(str(least)) - 1) if logarithmic else 0
    length = _WIDTH  # of the longest bar
    for end, text in zip(ends, words, strict=True):
        share = math.log(max(end, low) / low) / math.log(most / low) if logarithmic else end / most
        room = _WIDTH - _LETTER * (len(f'{end:,}') + 3 + display_width(text))
        length = min(length, room / max(share, 0.1))
    stretch = _WIDTH / max(length, 0.3 * _WIDTH)
    if logarithmic:
        style.log_axis(axes, low, low * (most / low) ** stretch, last=2 * most)
    else:
        style.linear_axis(axes, most * stretch, last=1.1 * most)
    axes.set_xlabel(
        f'boxes{" (log scale)" * logarithmic};  shaded: the rarest 30 %, '
        f'{len(stats.rarest)} of {stats.taxonomy.num_classes} classes'
    )
    return low


def _end(stats: DatasetStats, label: int) -> int:
    """The largest count of a class in any file: behind it stand the words."""
    return max(split.counts[label] for split in stats.splits)


def _words(stats: DatasetStats, label: int) -> str:
    """What stands beside the bar of a class: its superclass, and the files that lack it."""
    words = []
    if stats.is_grouped and stats.taxonomy.paths[label]:
        words.append(shorten(stats.taxonomy.superclass_of(label), _SUPERCLASS_NAME))
    if len(stats.splits) > 1:
        words += [
            f'none in {shorten(split.name, _SPLIT_NAME)}'
            for split in stats.splits
            if not split.counts[label]
        ]
    return ', '.join(words)


def _class_names(axes: Axes, names: Sequence[str], counts: Sequence[int] | None = None) -> None:
    names = [shorten(name, _CLASS_NAME) for name in names]
    if counts is not None:
        names = [f'{name} ({count:,})' for name, count in zip(names, counts, strict=True)]
    axes.set_yticks(range(len(names)), names)


def _marker(number: int) -> dict[str, object]:
    """Look of the counts of a further file."""
    return {
        'linestyle': 'none',
        'marker': _MARKERS[number % len(_MARKERS)],
        'markersize': 4,
        'markerfacecolor': style.PAPER,
        'markeredgecolor': INK,
        'markeredgewidth': 0.9,
    }


def _legend(axes: Axes, stats: DatasetStats) -> None:
    """Superclasses with their sums, and what the marks of further files are."""
    entries = []
    if stats.is_grouped:
        for name, color, labels in superclass_groups(stats):
            entries.append(
                (
                    Patch(facecolor=color),
                    f'{shorten(name, _SUPERCLASS_NAME)} '
                    f'({sum(stats.train.counts[label] for label in labels):,})',
                )
            )
    for number, split in enumerate(stats.splits[1:]):
        entries.append(
            (
                Line2D([], [], **_marker(number)),
                f'{shorten(split.name, _SPLIT_NAME)} ({split.boxes:,})',
            )
        )
    if entries:
        axes.legend(
            *zip(*entries, strict=True),
            loc='upper left',
            bbox_to_anchor=(1.01, 1.0),
            fontsize=8,
            handlelength=1.2,
            labelspacing=0.6,
            borderaxespad=0,
        )


def _coco_ranges(axes: Axes, low: float, high: float) -> None:
    """Lines at COCO's bounds, and 'small', 'medium', 'large' above where there is room."""
    for bound in (SMALL, LARGE):
        if low < bound < high:
            axes.axvline(bound, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    for name, start, end in (
        ('small', low, SMALL),
        ('medium', SMALL, LARGE),
        ('large', LARGE, high),
    ):
        start, end = max(start, low), min(end, high)
        if end > start * (high / low) ** 0.1:
            axes.annotate(
                name,
                ((start * end) ** 0.5, 1),
                (0, 4),
                xycoords=('data', 'axes fraction'),
                textcoords='offset points',
                ha='center',
                fontsize=8,
                color=MUTED,
            )


def _group_names(axes: Axes, groups: Sequence[tuple[str, str, Sequence[int]]]) -> None:
    """Lines between superclasses, and their names at the right."""
    start = 0
    for name, color, labels in groups:
        if not labels:
            continue
        end = start + len(labels)
        if start:
            axes.axhline(start - 0.5, color=FAINT, linewidth=0.8, zorder=0.5)
        axes.plot(
            [1.006, 1.006],
            [start - 0.35, end - 0.65],
            color=color,
            linewidth=3,
            transform=axes.get_yaxis_transform(),
            clip_on=False,
            solid_capstyle='butt',
        )
        axes.annotate(
            shorten(name, _SUPERCLASS_NAME),
            (1, (start + end - 1) / 2),
            (8, 0),
            xycoords=('axes fraction', 'data'),
            textcoords='offset points',
            va='center',
            fontsize=8,
        )
        start = end
