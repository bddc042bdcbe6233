"""Where everything is on a figure, and how it looks: against what was drawn when it was last looked at.

Whoever changes a figure on purpose looks at it and writes the values again:
MULTIGRAIN_WRITE_GOLDENS=1 pytest tests/report/test_figure_layout.py, then reads the diff.
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from mmdet_multigrain.report.dataset import figures as of_data
from mmdet_multigrain.report.dataset.grouping_figure import grouping
from mmdet_multigrain.report.runs import figures as of_runs
from mmdet_multigrain.report.runs.comparison import compare_paper
from mmdet_multigrain.report.runs.paper import load_paper
from mmdet_multigrain.visualization import style
from mmdet_multigrain.visualization.palette import superclass_colors

from .runs.made_runs import gain

GOLDENS = Path(__file__).parents[1] / 'goldens' / 'figures.json'


def plain(value):
    """A value as JSON has it, numbers rounded."""
    if isinstance(value, str | bool | None):
        return value
    if isinstance(value, int | float | np.number):
        return round(float(value), 3)
    return [plain(item) for item in value]


def color(value):
    return to_hex(value, keep_alpha=True)


def text(artist):
    place = getattr(artist, 'xyann', artist.get_position())
    at = getattr(artist, 'xy', None)
    at = at if at is None or not callable(at[0] if isinstance(at, tuple) else at) else None
    return [
        artist.get_text(), at, place, artist.get_fontsize(), color(artist.get_color()),
        str(artist.get_fontweight()), artist.get_ha(), artist.get_va(),
    ]  # fmt: skip


def legend(artist):
    if artist is None:
        return None
    handles = [
        color(one.get_facecolor() if hasattr(one, 'get_facecolor') else one.get_color())
        for one in artist.legend_handles
    ]
    return [[one.get_text() for one in artist.get_texts()], handles, artist._ncols]


def corner_and_size(patch):
    if isinstance(patch, Rectangle):
        return patch.get_x(), patch.get_y(), patch.get_width(), patch.get_height()
    # Before matplotlib 3.9 spans are polygons.
    return patch.get_path().get_extents(patch.get_patch_transform()).bounds


def described(figure):
    """All that our code places and styles."""
    found = {'size': figure.get_size_inches(), 'legends': [legend(one) for one in figure.legends]}
    for number, axes in enumerate(figure.axes):
        found[f'axes {number}'] = [
            axes.get_position().bounds, axes.get_xlim(), axes.get_ylim(), axes.get_xscale(),
            axes.get_xlabel(), axes.get_ylabel(), [one.get_text() for one in axes.get_yticklabels()],
        ]  # fmt: skip
        found[f'legend {number}'] = legend(axes.get_legend())
        found[f'patches {number}'] = [
            [*corner_and_size(one), one.get_linewidth(),
             color(one.get_facecolor()), color(one.get_edgecolor()), one.get_hatch(),
             one.get_zorder()]
            for one in axes.patches
        ]  # fmt: skip
        found[f'lines {number}'] = [
            [one.get_xdata(), one.get_ydata(), color(one.get_color()), one.get_linewidth(),
             one.get_marker(), one.get_markersize(), one.get_zorder()]
            for one in axes.lines
        ]  # fmt: skip
        found[f'segments {number}'] = [
            [[segment.ravel() for segment in one.get_segments()], one.get_linewidths(),
             [color(part) for part in one.get_colors()], one.get_zorder()]
            for one in axes.collections
        ]  # fmt: skip
        found[f'texts {number}'] = [text(one) for one in axes.texts]
    return {key: plain(value) for key, value in found.items()}


def drawn(draw, *arguments):
    with style.drawing() as figure:
        draw(figure, *arguments)
        return described(figure)


def gains():
    """The paper's, with all kinds of intervals for one variant, and another alone."""
    paper = load_paper('df2')
    comparison = compare_paper(paper)
    baseline, *_, variant = comparison.variants
    keys = [row.key for row in comparison.classes]
    changed = {
        **variant.gains,
        keys[0]: gain(0.02, 0.07),
        keys[1]: gain(0.02, 0.01),
        keys[2]: gain(float('nan'), float('nan'), images=0),
        keys[3]: gain(0.01, 0.03, seeds=False),
        keys[4]: gain(0.03, 0.01, images=2),
    }
    one = dataclasses.replace(
        comparison, variants=(baseline, dataclasses.replace(variant, gains=changed))
    )
    colors = superclass_colors(paper.taxonomy)
    return {
        'gains': drawn(of_runs.class_gains, comparison, colors),
        'gains of one': drawn(of_runs.class_gains, one, colors),
    }


def diagnostics():
    names = ('class', 'within', 'place', 'both', 'twice', 'background', 'missed', 'rest')
    ends = [(0.02, 0.1, 0.0, -0.01, 0.03, 0.004, 0.2, 0.05), (0.01,) * 8]
    both = [
        SimpleNamespace(
            variant=name,
            costs=[SimpleNamespace(name=n, delta_ap=d) for n, d in zip(names, deltas, strict=True)],
            score_bins=[SimpleNamespace(score=s, precision=s * s) for s in (0.25, 0.5, 1.0)],
        )
        for name, deltas in zip(('base', 'new'), ends, strict=True)
    ]
    return {
        'errors': drawn(of_runs.error_kinds, both),
        'calibration': drawn(of_runs.calibration, both),
    }


def confusion(count, rows):
    shares = np.eye(count + 1)[: count + 1] * 0.7
    shares[:rows, 1] += 0.25
    shares[0, -1] = 0.004
    blocks = (SimpleNamespace(start=0, stop=3), SimpleNamespace(start=3, stop=4))
    return drawn(
        of_runs.confusion_matrix,
        SimpleNamespace(
            names=tuple(f'class {n}' for n in range(count)),
            labels=range(count),
            shares=shares,
            blocks=(blocks,),
        ),
    )


@pytest.fixture
def found(content, stats_of):
    one = stats_of(content)
    many = json.loads(json.dumps(content))
    many['categories'] += [{'id': 8, 'name': 'top'}, {'id': 9, 'name': 'object'}]
    first = many['annotations'][0]
    many['annotations'] += [first] * 90
    many['annotations'] += [
        {'image_id': 4, 'category_id': category, 'bbox': [0, 0, 30, 40 + n]}
        for n, category in enumerate((8, 8, 8, 9))
    ]
    two = stats_of(many, content)
    return {
        f'{draw.__name__} {name}': drawn(draw, stats)
        for draw in (of_data.class_counts, of_data.box_sizes, grouping)
        for name, stats in (('of one file', one), ('of two files', two))
    } | {
        **gains(),
        **diagnostics(),
        'confusion': confusion(5, 2),
        'large confusion': confusion(30, 3),
        'huge confusion': {
            key: value for key, value in confusion(90, 1).items() if key[:4] in ('size', 'axes')
        },
    }


def same(found, expected):
    """Whether two values are equal, numbers within a hundredth or a thousandth of their size."""
    if isinstance(expected, list):
        return (
            isinstance(found, list)
            and len(found) == len(expected)
            and all(map(same, found, expected))
        )
    if isinstance(expected, float) and isinstance(found, float):
        return found == pytest.approx(expected, rel=1e-3, abs=1e-2, nan_ok=True)
    return found == expected


def test_figures_are_as_they_were(found):
    found = json.loads(json.dumps(found))
    if os.environ.get('MULTIGRAIN_WRITE_GOLDENS') == '1':
        GOLDENS.write_text(json.dumps(found, separators=(',', ':')) + '\n')
    expected = json.loads(GOLDENS.read_text())
    assert found.keys() == expected.keys()
    for name, parts in expected.items():
        assert found[name].keys() == parts.keys(), name
        for key, part in parts.items():
            assert same(found[name][key], part), (name, key)
