"""The figure of a data set's grouping: superclasses with their classes and counts.

All lengths are inches on the figure, so that texts can be measured against the room they have.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mmdet_multigrain.visualization import style
from mmdet_multigrain.visualization.style import INK, MUTED

from ..axes import axes_in_inches
from .figures import (
    HATCHED,
    LOG_FROM,
    Group,
    boxes_of,
    hatching,
    label_name,
    summary,
    superclass_groups,
)
from .stats import DatasetStats

_ROW, _GAP, _HEAD, _FOOT = 0.25, 0.1, 0.75, 0.3
_BLOCK, _NAMES, _COUNT, _BETWEEN = 1.75, 2.5, 0.75, 0.4
_PADDING, _LINE = 0.08, 0.165
_ROWS_OF_A_COLUMN, _MOST_COLUMNS = 24, 3


def grouping(figure: Figure, stats: DatasetStats) -> None:
    """Superclasses as blocks next to their classes, whose cells are filled in proportion to boxes."""
    columns = into_columns(superclass_groups(stats))
    wide = _BLOCK + _NAMES + _COUNT * len(stats.splits)
    width = len(columns) * (wide + _BETWEEN) - _BETWEEN
    height = _HEAD + max(map(_height, columns)) + _FOOT
    axes = axes_in_inches(figure, (width, height), (0, 0), (width, height))
    axes.set_axis_off()
    axes.set(xlim=(0, width), ylim=(height, 0))
    _text(axes, 0, 0.12, 'Superclasses and their classes', fontsize=12, fontweight='bold')
    _text(axes, 0, 0.36, summary(stats), room=width, fontsize=9, color=MUTED)
    scale = ', log scale' if stats.train.imbalance > LOG_FROM else ''
    foot = f'cells filled by boxes{scale};  * among the rarest 30%'
    foot += f';  {HATCHED}' if stats.coarse_labels else ''
    _text(axes, 0, height - 0.1, foot, room=width, color=MUTED)
    for number, column in enumerate(columns):
        left, top = number * (wide + _BETWEEN), _HEAD
        for place, split in enumerate(stats.splits if len(stats.splits) > 1 else ()):
            at = _right(left, place), _HEAD - 0.12
            _text(axes, *at, split.name, room=_COUNT - 0.05, color=MUTED, ha='right')
        for group in column:
            _draw_group(axes, stats, group, left, top)
            for row, label in enumerate(group.labels):
                _draw_class(axes, stats, group.color, label, left, top + _ROW * row)
            top += _height([group]) + _GAP


def into_columns(groups: Sequence[Group]) -> list[list[Group]]:
    """Spread groups over columns, in their order, so that the highest is as low as possible."""
    rows = sum(len(group.labels) for group in groups)
    number = min(len(groups), _MOST_COLUMNS, math.ceil(rows / _ROWS_OF_A_COLUMN))
    spreads = (
        [list(groups[start:end]) for start, end in pairwise((0, *cuts, len(groups)))]
        for cuts in combinations(range(1, len(groups)), number - 1)
    )
    return min(spreads, key=lambda columns: max(map(_height, columns)))


def _height(column: Sequence[Group]) -> float:
    return sum(_ROW * len(group.labels) for group in column) + _GAP * (len(column) - 1)


def _draw_group(axes: Axes, stats: DatasetStats, group: Group, left: float, top: float) -> None:
    height = _height([group])
    _fill(axes, left, top, (_BLOCK - 0.03, height - 0.02), group.color)
    boxes = boxes_of(stats, group.labels)
    classes = sum(label < stats.taxonomy.num_classes for label in group.labels)
    lines = []
    if len(group.labels) > 1:
        share = boxes / stats.train.boxes
        lines.append(f'{boxes:,} boxes' + (f' ({share:.0%})' if share >= 0.005 else ''))
    if len(group.labels) > 2:
        lines.append(f'{classes} classes')
    y = top + height / 2 - _LINE * len(lines) / 2 - 0.01
    x, look = left + _PADDING, {'color': style.ink_on(group.color), 'room': _BLOCK - 2 * _PADDING}
    _text(axes, x, y, group.name, fontsize=9, fontweight='bold', **look)
    for number, line in enumerate(lines, start=1):
        _text(axes, x, y + number * _LINE, line, **look)


def _draw_class(
    axes: Axes, stats: DatasetStats, color: str, label: int, left: float, top: float
) -> None:
    x, middle = left + _BLOCK, top + _ROW / 2 - 0.01
    whole, filled = _NAMES + _COUNT * len(stats.splits), _NAMES * _filled(stats, label)
    _fill(axes, x, top, (whole, _ROW - 0.02), style.tint(color, 0.13))
    cell = {'facecolor': style.tint(color, 0.42)} | hatching(stats, label, style.tint(color, 0.65))
    _fill(axes, x, top, (filled, _ROW - 0.02), **cell)
    look = {'fontsize': 8.5, 'va': 'center_baseline'}
    name, room = label_name(stats, label), _NAMES - _PADDING
    _text(axes, x + _PADDING, middle, name, room=room, **(look | {'fontsize': 9}))
    for place, split in enumerate(stats.splits):
        row = split.of_label(label)
        count = f'{row.boxes:,}' if row.listed else '-'
        ink = MUTED if place else INK
        _text(axes, _right(left, place), middle, count, ha='right', color=ink, **look)
    if label in stats.rarest:
        _text(axes, _right(left, 0) + 0.02, middle, '*', **look)


def _text(
    axes: Axes, x: float, y: float, text: str, *, room: float | None = None, **look: Any
) -> None:
    """A text, shortened to the room it has."""
    drawn = axes.text(x, y, text, **{'fontsize': 8, 'va': 'center', **look})
    if room is not None:
        style.fit(drawn, room)


def _fill(
    axes: Axes, x: float, y: float, size: tuple[float, float], color: Any = None, **look: Any
) -> None:
    axes.add_patch(Rectangle((x, y), *size, linewidth=0, **{'facecolor': color, **look}))


def _right(left: float, place: int) -> float:
    """Right edge of the counts of a file in a column of groups."""
    return left + _BLOCK + _NAMES + _COUNT * (place + 1) - 0.14


def _filled(stats: DatasetStats, label: int) -> float:
    """Filled share of a class's cell: in proportion to its boxes, or to their logarithm."""
    labels = (*stats.by_count, *stats.coarse_labels)
    count, most = boxes_of(stats, [label]), max(boxes_of(stats, [each]) for each in labels)
    if stats.train.imbalance <= LOG_FROM or not count:
        return count / most
    return math.log1p(count) / math.log1p(most)
