"""The figure of a data set's grouping: superclasses with their classes and counts.

All lengths are inches on the figure, so that what text needs and what it has can be compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mmdet_multigrain.visualization import style
from mmdet_multigrain.visualization.style import INK, MUTED

from .figures import LOG_FROM, summary, superclass_groups
from .stats import DatasetStats

_ROW, _GAP, _HEAD, _FOOT = 0.25, 0.1, 0.75, 0.3
_BLOCK, _NAMES, _COUNT, _BETWEEN = 1.75, 2.5, 0.75, 0.4
_PADDING, _LINE = 0.08, 0.165
_ROWS_OF_A_COLUMN, _MOST_COLUMNS = 24, 3


def grouping(figure: Figure, stats: DatasetStats) -> None:
    """Superclasses as blocks beside their classes, whose cells are filled as far as boxes go."""
    columns = into_columns([Block(*group) for group in superclass_groups(stats)])
    wide = _BLOCK + _NAMES + _COUNT * len(stats.splits)
    width = len(columns) * (wide + _BETWEEN) - _BETWEEN
    height = _HEAD + max(map(_height, columns)) + _FOOT
    figure.set_size_inches(width, height)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.text(
        0, 0.12, 'Superclasses and their classes', fontsize=12, fontweight='bold', va='center'
    )
    style.fit(axes.text(0, 0.36, summary(stats), color=MUTED, va='center'), width)
    scale = ', log scale' if stats.train.imbalance > LOG_FROM else ''
    style.fit(
        axes.text(
            0,
            height - 0.1,
            f'cells filled by boxes{scale};  * among the rarest 30 %',
            fontsize=8,
            color=MUTED,
            va='center',
        ),
        width,
    )
    for number, column in enumerate(columns):
        left, top = number * (wide + _BETWEEN), _HEAD
        if len(stats.splits) > 1:
            for place, split in enumerate(stats.splits):
                style.fit(
                    axes.text(
                        _right(left, place),
                        _HEAD - 0.12,
                        split.name,
                        fontsize=8,
                        color=MUTED,
                        ha='right',
                        va='center',
                    ),
                    _COUNT - 0.05,
                )
        for block in column:
            _draw_block(axes, stats, block, left, top)
            for row, label in enumerate(block.labels):
                _draw_class(axes, stats, block.color, label, left, top + _ROW * row)
            top += block.height + _GAP


@dataclass(frozen=True)
class Block:
    """A superclass and its classes, most boxes first."""

    name: str
    color: str
    labels: tuple[int, ...]

    @property
    def height(self) -> float:
        """Of its rows."""
        return _ROW * len(self.labels)


def into_columns(blocks: Sequence[Block]) -> list[list[Block]]:
    """Spread blocks, in their order, so that the highest column is as low as can be."""
    rows = sum(len(block.labels) for block in blocks)
    number = min(len(blocks), _MOST_COLUMNS, math.ceil(rows / _ROWS_OF_A_COLUMN))
    spreads = (
        [list(blocks[start:end]) for start, end in pairwise((0, *cuts, len(blocks)))]
        for cuts in combinations(range(1, len(blocks)), number - 1)
    )
    return min(spreads, key=lambda columns: max(map(_height, columns)))


def _height(column: Sequence[Block]) -> float:
    return sum(block.height for block in column) + _GAP * (len(column) - 1)


def _draw_block(axes: Axes, stats: DatasetStats, block: Block, left: float, top: float) -> None:
    axes.add_patch(
        Rectangle(
            (left, top), _BLOCK - 0.03, block.height - 0.02, linewidth=0, facecolor=block.color
        )
    )
    boxes = sum(stats.train.counts[label] for label in block.labels)
    lines = []
    if len(block.labels) > 1:
        share = boxes / stats.train.boxes
        lines.append(f'{boxes:,} boxes' + (f' ({share:.0%})' if share >= 0.005 else ''))
    if len(block.labels) > 2:
        lines.append(f'{len(block.labels)} classes')
    ink = style.ink_on(block.color)
    y = top + block.height / 2 - _LINE * len(lines) / 2 - 0.01
    x = left + _PADDING
    style.fit(
        axes.text(x, y, block.name, fontweight='bold', color=ink, va='center'),
        _BLOCK - 2 * _PADDING,
    )
    for number, line in enumerate(lines, start=1):
        style.fit(
            axes.text(x, y + number * _LINE, line, fontsize=8, color=ink, va='center'),
            _BLOCK - 2 * _PADDING,
        )


def _draw_class(
    axes: Axes, stats: DatasetStats, color: str, label: int, left: float, top: float
) -> None:
    x, middle = left + _BLOCK, top + _ROW / 2 - 0.01
    for share, width in (
        (0.13, _NAMES + _COUNT * len(stats.splits)),
        (0.42, _NAMES * _filled(stats, label)),
    ):
        axes.add_patch(
            Rectangle((x, top), width, _ROW - 0.02, linewidth=0, facecolor=style.tint(color, share))
        )
    style.fit(
        axes.text(x + _PADDING, middle, stats.taxonomy.classes[label], va='center_baseline'),
        _NAMES - _PADDING,
    )
    for place, split in enumerate(stats.splits):
        axes.text(
            _right(left, place),
            middle,
            f'{split.counts[label]:,}' if split.classes[label].listed else '-',
            fontsize=8.5,
            ha='right',
            va='center_baseline',
            color=MUTED if place else INK,
        )
    if label in stats.rarest:
        axes.text(_right(left, 0) + 0.02, middle, '*', fontsize=8.5, va='center_baseline')


def _right(left: float, place: int) -> float:
    """Right edge of the counts of a file in a column of blocks."""
    return left + _BLOCK + _NAMES + _COUNT * (place + 1) - 0.14


def _filled(stats: DatasetStats, label: int) -> float:
    """How far the cell of a class is filled: in proportion to its boxes, or to their logarithm."""
    count, most = stats.train.counts[label], max(stats.train.counts)
    if not count:
        return 0
    if stats.train.imbalance <= LOG_FROM:
        return count / most
    return math.log1p(count) / math.log1p(most)
