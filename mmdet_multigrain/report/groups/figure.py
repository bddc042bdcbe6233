"""The figure of suggested groups: the tree of classes, and who is taken for whom in its order."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.cluster.hierarchy import leaves_list

from mmdet_multigrain.taxonomy.suggest import GroupTree
from mmdet_multigrain.utils.table import display_width, shorten
from mmdet_multigrain.visualization import style
from mmdet_multigrain.visualization.palette import superclass_colors
from mmdet_multigrain.visualization.style import INK, MUTED

from ..axes import axes_in_inches, label
from .suggestion import Suggestion

_TREE, _STRIP, _HEAD, _FOOT = 1.9, 0.1, 0.65, 0.4
_NAMES_UP_TO = 120


def suggested_groups(figure: Figure, suggestion: Suggestion) -> None:
    """Draw the tree next to the confusions, both in the tree's order; each group has a color.

    Without confusions, the similarities of the tree are drawn.
    """
    taxonomy, tree, counts = suggestion.taxonomy, suggestion.tree, suggestion.counts
    inside = tree.known[leaves_list(tree.links)]
    order = [*inside, *np.setdiff1d(np.arange(taxonomy.num_classes), inside)]
    count = len(order)
    cell = max(0.06, min(0.3, 7 / count))
    font_size = max(4.5, min(8.5, 72 * cell * 0.7))
    names = style.readable(taxonomy.classes)
    shown = [shorten(names[number], 26) if count <= _NAMES_UP_TO else '' for number in order]
    room = _STRIP + 0.5 + 0.0095 * font_size * max(map(display_width, shown))
    left, side = _TREE + room, cell * count
    size = (left + side + 0.2, _HEAD + room + side + _FOOT)
    axes = axes_in_inches(figure, size, (left, _FOOT), (side, side))
    _draw_matrix(axes, tree, counts, order)
    colors = superclass_colors(taxonomy)
    axes.set_yticks(range(count), shown, fontsize=font_size)
    axes.set_xticks(range(count), shown, fontsize=font_size, rotation=90)
    axes.tick_params(length=0, pad=9 + 72 * _STRIP)
    axes.xaxis.tick_top()
    if counts is not None:
        axes.xaxis.set_label_position('top')
        axes.set_ylabel('class of the box')
        axes.set_xlabel('taken for')
    for row, number in enumerate(order):
        color = colors[taxonomy.superclass_of(int(number))]
        strip = {'facecolor': color, 'linewidth': 0, 'clip_on': False}
        width = _STRIP / cell
        axes.add_patch(Rectangle((-0.5 - width - 0.2, row - 0.5), width, 1, **strip))
        axes.add_patch(Rectangle((row - 0.5, -0.5 - width - 0.2), 1, width, **strip))
    links = axes_in_inches(figure, size, (0.1, _FOOT), (_TREE - 0.2, side))
    _draw_tree(links, tree, count)
    x, y = 0.1 / size[0], 1 - 0.12 / size[1]
    title = {'fontsize': 12, 'fontweight': 'bold', 'va': 'top'}
    figure.text(x, y, style.escaped(taxonomy.name), **title)
    detail = 'average linkage; one color for each group, gray: without a group'
    figure.text(x, y - 0.27 / size[1], detail, fontsize=9, color=MUTED, va='top')
    kind = 'share of the confusions of a row' if counts is not None else 'similarity'
    label(axes, f'darker: larger {kind}', (0, 0), (0, -14), xycoords='axes fraction')


def _draw_matrix(axes: Axes, tree: GroupTree, counts: np.ndarray | None, order: list[int]) -> None:
    values = tree.alike.copy() if counts is None else counts.astype(float)
    np.fill_diagonal(values, np.nan if counts is None else 0)
    if counts is not None:
        sums = values.sum(axis=1, keepdims=True)
        values = np.divide(values, sums, out=np.zeros_like(values), where=sums > 0)
    values = values[np.ix_(order, order)]
    options = {'cmap': 'Blues', 'aspect': 'equal', 'interpolation': 'nearest'}
    axes.imshow(values, vmin=0 if counts is not None else None, **options)
    axes.spines[:].set_visible(True)


def _draw_tree(axes: Axes, tree: GroupTree, count: int) -> None:
    """Links from their similarity (left: not alike) to the rows of the matrix."""
    leaves = leaves_list(tree.links)
    height = dict(zip(leaves.tolist(), map(float, range(len(leaves))), strict=True))
    far = dict.fromkeys(range(len(leaves)), 0.0)
    for number, (first, second, distance, _) in enumerate(tree.links, start=len(leaves)):
        ends = [(far[int(one)], height[int(one)]) for one in (first, second)]
        x = [ends[0][0], distance, distance, ends[1][0]]
        axes.plot(x, [ends[0][1], ends[0][1], ends[1][1], ends[1][1]], color=INK, linewidth=0.8)
        far[number], height[number] = distance, (ends[0][1] + ends[1][1]) / 2
    # As the matrix: the first row on top; leaves on the right.
    axes.set(xlim=(tree.links[-1, 2] * 1.02, 0), ylim=(count - 0.5, -0.5))
    axes.set_axis_off()
