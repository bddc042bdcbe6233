"""One palette per taxonomy: hues of superclasses, shades of classes, for all kinds of eyes."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.visualization.palette import (
    HUES,
    MISSED,
    NO_SUPERCLASS,
    class_palette,
    superclass_colors,
)

from .color_vision import VISIONS, distance, least_distance, to_lab

BUILT_IN = ('deepfashion2', 'openimages_v4_clothing')


def rgb(color):
    return tuple(int(color[start : start + 2], 16) for start in (1, 3, 5))


def grouped(*sizes):
    """A taxonomy with groups of these sizes: g0, g1, ..."""
    return Taxonomy.load(
        {f'g{n}': [f'{n}.{m}' for m in range(size)] for n, size in enumerate(sizes)}
    )


@pytest.mark.parametrize(
    ('one', 'other', 'expected'),
    [  # of the paper's table 1
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
    ],
)
def test_the_distance_of_colors(one, other, expected):
    assert distance(one, other) == pytest.approx(expected, abs=1e-4)


def test_white_and_gray_in_cielab():
    for vision in VISIONS:
        assert to_lab((255, 255, 255), vision) == pytest.approx((100, 0, 0), abs=0.05)
        assert to_lab((119, 119, 119), vision) == pytest.approx((50.03, 0, 0), abs=0.05)


@pytest.mark.parametrize(('vision', 'least'), [('normal', 23), ('protan', 14), ('deutan', 14)])
def test_hues_can_be_told_apart(vision, least):
    colors = [*map(rgb, HUES), rgb(NO_SUPERCLASS), MISSED]
    assert len(HUES) == 8
    assert least_distance(colors, vision) > least
    assert least_distance(colors[:3], vision) > 40


@pytest.mark.parametrize('vision', VISIONS)
def test_superclasses_of_real_taxonomies_can_be_told_apart(vision):
    for taxonomy, least in (
        (Taxonomy.load('deepfashion2'), 40),
        (Taxonomy.load('openimages_v4_clothing'), 14),
        (grouped(7, 7, 6, 5, 5, 3, 3, 3, 2, 2, 1), 12),  # as in Clothing Co-Parsing
    ):
        colors = superclass_colors(taxonomy)
        assert least_distance({rgb(color) for color in colors.values()}, vision) > least


def test_the_largest_superclasses_come_first():
    colors = superclass_colors(grouped(2, 5, 2, 1))
    assert colors == {'g0': HUES[1], 'g1': HUES[0], 'g2': HUES[2], 'g3': HUES[3]}
    assert list(colors) == ['g0', 'g1', 'g2', 'g3']


def test_superclasses_beyond_eight_are_darker_then_lighter():
    colors = [*map(rgb, superclass_colors(grouped(*[2] * 25)).values())]
    assert len(set(colors)) == 24 and colors[24] == colors[0]
    for number in range(8):
        values = [sum(colors[number + 8 * tier]) for tier in (1, 0, 2)]
        assert values == sorted(values)
        hues = [colorsys.rgb_to_hsv(*colors[number + 8 * tier])[0] for tier in range(3)]
        assert hues == pytest.approx([hues[0]] * 3, abs=0.02)


def test_classes_without_superclass_are_gray():
    taxonomy = Taxonomy.load('openimages_v4_clothing')
    colors = superclass_colors(taxonomy)
    assert set(colors) == set(taxonomy.group_names(0))
    names = {taxonomy.superclass_of(label) for label, path in enumerate(taxonomy.paths) if path}
    assert {colors[name] for name in names} == set(HUES[:7])
    assert {colors[name] for name in set(colors) - names} == {NO_SUPERCLASS}
    shades = [
        color
        for color, path in zip(class_palette(taxonomy), taxonomy.paths, strict=True)
        if not path
    ]
    assert all(len(set(color)) == 1 for color in shades) and len(set(shades)) == 10


@pytest.mark.parametrize(
    'taxonomy',
    [Taxonomy('t', 'abcdefgh'), Taxonomy.load({name: [name * 2] for name in 'abcdefgh'})],
)
def test_where_no_class_has_siblings_each_has_a_hue(taxonomy):
    assert [*superclass_colors(taxonomy).values()] == [*HUES]
    assert class_palette(taxonomy) == [*map(rgb, HUES)]


def test_shades_by_hand():
    taxonomy = Taxonomy('t', 'abcd', [('x',), ('y',), ('x',), ('x',)])
    # c9a50c: mixed with 40% black, as it is, with 40% white; the other group has one class.
    assert class_palette(taxonomy) == [(121, 99, 7), rgb(HUES[1]), (201, 165, 12), (223, 201, 109)]


@pytest.mark.parametrize('taxonomy', [*map(Taxonomy.load, BUILT_IN), grouped(7, 5, *[3] * 9)])
def test_classes_are_shades_of_their_superclass(taxonomy):
    palette, colors = class_palette(taxonomy), superclass_colors(taxonomy)
    assert len(set(palette)) == len(palette)
    assert all(type(value) is int and 0 <= value <= 255 for color in palette for value in color)
    for name in colors:
        labels = [n for n in range(len(palette)) if taxonomy.superclass_of(n) == name]
        base = colorsys.rgb_to_hsv(*rgb(colors[name]))[0]
        for label in labels:
            assert colorsys.rgb_to_hsv(*palette[label])[0] == pytest.approx(base, abs=0.02)
        lightness = [to_lab(palette[label])[0] for label in labels]
        assert (np.diff(lightness) > 0).all()


def test_same_taxonomy_same_colors(garments, three_levels):
    assert class_palette(garments) == class_palette(Taxonomy.load(garments.to_dict()))
    # Only the coarsest level counts.
    coarse = Taxonomy('t', three_levels.classes, [path[:1] for path in three_levels.paths])
    assert class_palette(three_levels) == class_palette(coarse)


def test_one_class():
    assert class_palette(Taxonomy('t', ['a'])) == [rgb(HUES[0])]
