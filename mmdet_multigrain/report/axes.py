"""Axes, labels and legends placed in inches and points, so that text has the room it needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mmdet_multigrain.visualization.style import MUTED


def axes_in_inches(
    figure: Figure, size: tuple[float, float], corner: tuple[float, float], room: Sequence[float]
) -> Axes:
    """Set the size of a figure and add axes at a lower left corner, `room` in size; in inches."""
    figure.set_size_inches(*size)
    box = corner[0] / size[0], corner[1] / size[1], room[0] / size[0], room[1] / size[1]
    return figure.add_axes(box)


def label(
    axes: Axes,
    text: str,
    at: tuple[float, float],
    offset: tuple[float, float] = (0, 0),
    **options: Any,
) -> Any:
    """A small gray label at an offset, in points, from a place on the axes."""
    options = {'fontsize': 8, 'color': MUTED, **options}
    return axes.annotate(text, at, offset, textcoords='offset points', **options)


def color_legend(
    parent: Axes | Figure,
    entries: Sequence[tuple[str | Any, str]],
    corner: str,
    at: tuple[float, float],
    **options: Any,
) -> None:
    """A legend of (color or artist, text) whose `corner`, as 'upper left', is at a place."""
    options = {'fontsize': 8, 'handlelength': 1.2, 'borderaxespad': 0, **options}
    handles = [Patch(facecolor=one) if isinstance(one, str) else one for one, _ in entries]
    texts = [text for _, text in entries]
    parent.legend(handles, texts, loc=corner, bbox_to_anchor=at, **options)
