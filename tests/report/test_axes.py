"""Axes and labels in inches and points."""

import pytest

from mmdet_multigrain.report.axes import axes_in_inches, label
from mmdet_multigrain.visualization import style


def test_axes_in_inches():
    with style.drawing() as figure:
        axes = axes_in_inches(figure, (4, 2), (1, 0.5), (2, 1))
        assert figure.get_size_inches().tolist() == [4, 2]
        assert axes.get_position().bounds == pytest.approx((0.25, 0.25, 0.5, 0.5))


def test_label():
    with style.drawing() as figure:
        axes = axes_in_inches(figure, (4, 2), (0, 0), (4, 2))
        gray = label(axes, 'text', (0, 1), (3, 4))
        ink = label(axes, 'text', (0, 1), color=style.INK, fontsize=10)
    assert (gray.xyann, gray.get_color(), gray.get_fontsize()) == ((3, 4), style.MUTED, 8)
    assert (ink.get_color(), ink.get_fontsize()) == (style.INK, 10)
