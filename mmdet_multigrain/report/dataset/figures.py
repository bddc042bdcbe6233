"""Figures of a data set's statistics: class counts and box sizes.

Each function draws on an empty figure; see `style.render`. The grouping has its own module.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mmdet_multigrain.evaluation.functional.imbalance import imbalance_ratio
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.table import display_width, shorten
from mmdet_multigrain.visualization import style
from mmdet_multigrain.visualization.palette import NO_SUPERCLASS as NO_SUPERCLASS_COLOR
from mmdet_multigrain.visualization.palette import superclass_colors
from mmdet_multigrain.visualization.style import FAINT, INK

from ..axes import axes_in_inches, color_legend, label
from .stats import LARGE, SMALL, DatasetStats

LOG_FROM = 20  # imbalance ratio above which counts are drawn on a log axis
NO_SUPERCLASS, ANY_CLASS = 'no superclass', 'any class'
_WIDTH, _ROW = 5.4, 0.225  # of the axes and of a class in them, in inches
_LETTER = 0.068  # inches, on average, of the text next to a bar
_CLASS_NAME, _SUPERCLASS_NAME, _SPLIT_NAME = 32, 24, 24  # letters
_SHADE = '#f0f0f0'
_HATCH, HATCHED = '//////', 'hatched: only the superclass is known'
_MARKERS = 'Dos^vP'


@dataclass(frozen=True)
class Group:
    """A superclass, all classes without one, or boxes of any class."""

    name: str
    color: str
    # its classes, most training boxes first; then labels above K of boxes without a class
    labels: tuple[int, ...]


def drawable(stats: DatasetStats) -> DatasetStats:
    """The same with names that fonts here can show: `class 3` and `group 0` for the others."""
    taxonomy = stats.taxonomy
    names: dict[str, str] = {}
    for level in range(taxonomy.num_levels - 1):
        groups = taxonomy.group_names(level)
        names |= zip(groups, style.readable(groups, 'group'), strict=True)
    forest = {
        tree: [[names[group] for group in path] for path in paths]
        for tree, paths in taxonomy.forest.items()
    }
    return replace(
        stats,
        taxonomy=Taxonomy(
            taxonomy.name,
            style.readable(taxonomy.classes),
            forest if taxonomy.trees else forest[''],
            num_levels=taxonomy.num_levels,
            allow_one_group=True,
        ),
        splits=tuple(replace(split, name=style.escaped(split.name)) for split in stats.splits),
    )


def superclass_groups(stats: DatasetStats) -> list[Group]:
    """All superclasses, most training boxes first; then classes without one, and boxes of any class.

    Of several trees, the first counts. Boxes of which only the group of another is known may be of
    any of its superclasses.
    """
    members: dict[str | None, list[int]] = {}
    for number in (*stats.by_count, *stats.coarse_labels):
        members.setdefault(_superclass(stats, number), []).append(number)

    def rank(name: str | None) -> tuple[bool, bool, int]:
        return name is None, not name, -boxes_of(stats, members[name])

    titles = {'': NO_SUPERCLASS, None: ANY_CLASS}
    return [
        Group(titles.get(name, name), label_color(stats, members[name][0]), tuple(members[name]))
        for name in sorted(members, key=rank)
    ]


def _superclass(stats: DatasetStats, number: int) -> str | None:
    """The superclass of all classes that a label allows, '' for a class without; None for several."""
    labels = stats.taxonomy.labels.sets[number, :-1].nonzero()[0]
    names = {(*stats.taxonomy.paths[label][:1], '')[0] for label in labels}
    is_any = number == len(stats.taxonomy.labels) - 1
    return None if is_any or len(names) > 1 else names.pop()


def label_color(stats: DatasetStats, number: int) -> str:
    """The color of the superclass of a label; gray for labels of several."""
    if _superclass(stats, number) is None:
        return NO_SUPERCLASS_COLOR
    first = int(stats.taxonomy.labels.sets[number].argmax())
    return superclass_colors(stats.taxonomy)[stats.taxonomy.superclass_of(first)]


def label_name(stats: DatasetStats, number: int) -> str:
    """The class, or `any top` for boxes of which only the superclass is known."""
    name = stats.taxonomy.labels.names[number]
    return f'any {name}' if number > stats.taxonomy.num_classes else name


def boxes_of(stats: DatasetStats, labels: Iterable[int]) -> int:
    """Training boxes of some labels."""
    return sum(stats.train.of_label(number).boxes for number in labels)


def hatching(stats: DatasetStats, number: int, color: str) -> dict[str, Any]:
    """How to fill the shape of a label above K: hatched; nothing for a class."""
    if number < stats.taxonomy.num_classes:
        return {}
    return {'facecolor': style.tint(color, 0.25), 'edgecolor': color, 'hatch': _HATCH}


def summary(stats: DatasetStats) -> str:
    """The training set in a line."""
    train, coarse = stats.train, stats.train.coarse_boxes
    return (
        f'{train.name}: {train.boxes:,} boxes'
        f'{f" ({coarse:,} with a superclass only)" if coarse else ""} in {train.num_images:,} images, '
        f'{stats.taxonomy.num_classes} classes, imbalance {train.imbalance:,.0f} : 1'
    )


def class_counts(figure: Figure, stats: DatasetStats) -> None:
    """Boxes of each class as bars, colored by superclass, most first; the rarest 30% marked.

    Boxes of which only the superclass is known follow, hatched.
    """
    order = (*stats.by_count, *stats.coarse_labels)
    counts = [stats.train.of_label(number).boxes for number in order]
    texts = [_text_behind_bar(stats, number) for number in order]
    axes = _rows(figure, len(order))
    low = _count_axis(axes, stats, order, texts)
    shaded = range(stats.num_learned - len(stats.rarest), stats.num_learned)
    axes.axhspan(shaded.start - 0.5, shaded.stop - 0.4, color=_SHADE, zorder=0, linewidth=0)
    axes.set_yticks(range(len(order)), [_class_name(stats, number) for number in order])
    colors = [label_color(stats, number) for number in order]
    lengths = [max(count - low, 0) for count in counts]
    bars = axes.barh(range(len(order)), lengths, left=low, height=0.72, color=colors)
    for bar, number, color in zip(bars, order, colors, strict=True):
        bar.set(**hatching(stats, number, color))
    for number, split in enumerate(stats.splits[1:]):
        others = [split.of_label(number).boxes or None for number in order]
        axes.plot(others, range(len(order)), **_marker(number))
    for row, (number, text) in enumerate(zip(order, texts, strict=True)):
        # A background, because grid lines would run through the letters.
        box = {'facecolor': _SHADE if row in shaded else style.PAPER, 'linewidth': 0, 'pad': 0.6}
        end = (max(low, _longest(stats, number)), row)
        count = label(axes, f'{counts[row]:,}', end, (5, 0), va='center', color=INK, bbox=box)
        box = box if text else None
        label(axes, text, (1, 0.5), (5, 0), xycoords=count, va='center', bbox=box)
    _legend(axes, stats)
    style.heading(axes, 'Boxes per class', summary(stats))


def box_sizes(figure: Figure, stats: DatasetStats) -> None:
    """Sizes of the boxes of each class: box plots on a log axis, one superclass after another."""
    groups = []
    for group in superclass_groups(stats):
        if labels := [n for n in group.labels if stats.train.of_label(n).boxes]:
            groups.append((group, labels))
    order = [number for _, labels in groups for number in labels]
    colors = [group.color for group, labels in groups for _ in labels]
    rows_of = [stats.train.of_label(number) for number in order]
    quantiles = [row.size_px for row in rows_of]
    rows = range(len(order))
    axes = _rows(figure, len(order))
    low, high = min(row[0] for row in quantiles) / 1.25, max(row[-1] for row in quantiles) * 1.25
    style.log_axis(axes, low, high)
    axes.set_xlabel('size of a box: square root of its area in pixels (log scale)')
    names = [_class_name(stats, number) for number in order]
    texts = [f'{name} ({row.boxes:,})' for name, row in zip(names, rows_of, strict=True)]
    axes.set_yticks(rows, texts)
    lowest, lower, middle, upper, highest = zip(*quantiles, strict=True)
    axes.hlines(rows, lowest, highest, colors=colors, linewidth=1.3, zorder=2)
    lengths = [end - start for start, end in zip(lower, upper, strict=True)]
    look = {'color': [style.tint(color, 0.6) for color in colors], 'edgecolor': colors}
    bars = axes.barh(rows, lengths, left=lower, height=0.62, zorder=3, **look)
    for bar, number, color in zip(bars, order, colors, strict=True):
        bar.set(**hatching(stats, number, color))
    starts, ends = [row - 0.31 for row in rows], [row + 0.31 for row in rows]
    axes.vlines(middle, starts, ends, colors=INK, linewidth=1.7, zorder=4)
    _coco_ranges(axes, low, high)
    if stats.is_grouped:
        _group_names(axes, groups)
    detail = (
        f'{stats.train.name} (how many boxes in brackets): box from 25 to 75%, line at '
        f'the median, whiskers from 5 to 95%{f"; {HATCHED}" if stats.coarse_labels else ""}'
    )
    style.heading(axes, 'Box sizes per class', detail, above=14)


def _rows(figure: Figure, count: int) -> Axes:
    """Axes with one row for each class, the first on top."""
    height = _ROW * count
    axes = axes_in_inches(figure, (_WIDTH + 2, height + 1), (1.5, 0.6), (_WIDTH, height))
    axes.set_ylim(count - 0.4, -0.6)
    axes.tick_params(axis='y', length=0)
    axes.grid(axis='x')
    return axes


def _count_axis(
    axes: Axes, stats: DatasetStats, order: Sequence[int], texts: Sequence[str]
) -> float:
    """Scale the x axis so that the texts behind the bars have room; gives its low end."""
    ends = [_longest(stats, number) for number in order]
    most = max(ends)
    shown = [split.of_label(number).boxes for split in stats.splits for number in order]
    least = min(filter(None, shown))
    logarithmic = max(stats.train.imbalance, imbalance_ratio(shown[: len(order)])) > LOG_FROM
    low = 0.7 * 10 ** (len(str(least)) - 1) if logarithmic else 0
    length = _WIDTH  # of the longest bar
    for end, text in zip(ends, texts, strict=True):
        share = math.log(max(end, low) / low) / math.log(most / low) if logarithmic else end / most
        room = _WIDTH - _LETTER * (len(f'{end:,}') + 3 + display_width(text))
        length = min(length, room / max(share, 0.1))
    stretch = _WIDTH / max(length, 0.3 * _WIDTH)
    if logarithmic:
        style.log_axis(axes, low, low * (most / low) ** stretch, last=2 * most)
    else:
        style.linear_axis(axes, most * stretch, last=1.1 * most)
    axes.set_xlabel(
        f'boxes{" (log scale)" * logarithmic};  shaded: the rarest 30%, '
        f'{len(stats.rarest)} of {stats.num_learned} classes'
        + (f';  {HATCHED}' if stats.coarse_labels else '')
    )
    return low


def _longest(stats: DatasetStats, number: int) -> int:
    """The largest count of a class in any file; the text starts behind it."""
    return max(split.of_label(number).boxes for split in stats.splits)


def _text_behind_bar(stats: DatasetStats, number: int) -> str:
    """The superclass of a class, and the files that lack the class."""
    words = []
    is_class = number < stats.taxonomy.num_classes
    if is_class and stats.is_grouped and stats.taxonomy.paths[number]:
        words.append(shorten(stats.taxonomy.superclass_of(number), _SUPERCLASS_NAME))
    if len(stats.splits) > 1:
        without = [split for split in stats.splits if not split.of_label(number).boxes]
        words += [f'none in {shorten(split.name, _SPLIT_NAME)}' for split in without]
    return ', '.join(words)


def _class_name(stats: DatasetStats, number: int) -> str:
    return shorten(label_name(stats, number), _CLASS_NAME)


def _marker(number: int) -> dict[str, object]:
    """Style of the counts of a further file."""
    edge = {'markeredgecolor': INK, 'markeredgewidth': 0.9, 'markerfacecolor': style.PAPER}
    marker = _MARKERS[number % len(_MARKERS)]
    return {'linestyle': 'none', 'marker': marker, 'markersize': 4, **edge}


def _legend(axes: Axes, stats: DatasetStats) -> None:
    """Superclasses with their sums, and the markers of further files."""
    entries = []
    for group in superclass_groups(stats) if stats.is_grouped else ():
        boxes = boxes_of(stats, group.labels)
        text = f'{shorten(group.name, _SUPERCLASS_NAME)} ({boxes:,})'
        entries.append((group.color, text))
    for number, split in enumerate(stats.splits[1:]):
        text = f'{shorten(split.name, _SPLIT_NAME)} ({split.boxes:,})'
        entries.append((Line2D([], [], **_marker(number)), text))
    if entries:
        color_legend(axes, entries, 'upper left', (1.01, 1), labelspacing=0.6)


def _coco_ranges(axes: Axes, low: float, high: float) -> None:
    """Lines at COCO's bounds, and 'small', 'medium', 'large' above where there is room."""
    for bound in (SMALL, LARGE):
        if low < bound < high:
            axes.axvline(bound, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    ranges = ('small', low, SMALL), ('medium', SMALL, LARGE), ('large', LARGE, high)
    for name, start, end in ranges:
        start, end = max(start, low), min(end, high)
        if end > start * (high / low) ** 0.1:
            above = {'xycoords': ('data', 'axes fraction'), 'ha': 'center'}
            label(axes, name, ((start * end) ** 0.5, 1), (0, 4), **above)


def _group_names(axes: Axes, groups: Sequence[tuple[Group, Sequence[int]]]) -> None:
    """Lines between superclasses, and their names at the right."""
    start = 0
    for group, labels in groups:
        end = start + len(labels)
        if start:
            axes.axhline(start - 0.5, color=FAINT, linewidth=0.8, zorder=0.5)
        line = {'color': group.color, 'linewidth': 3, 'solid_capstyle': 'butt', 'clip_on': False}
        span = [start - 0.35, end - 0.65]
        axes.plot([1.006, 1.006], span, transform=axes.get_yaxis_transform(), **line)
        right = {'xycoords': ('axes fraction', 'data'), 'va': 'center', 'color': INK}
        name = shorten(group.name, _SUPERCLASS_NAME)
        label(axes, name, (1, (start + end - 1) / 2), (8, 0), **right)
        start = end
