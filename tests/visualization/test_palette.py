"""Colors: a hue for each superclass, a shade for each class."""

import colorsys

import pytest

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.visualization.palette import superclass_palette

BUILT_IN = ('deepfashion2', 'openimages_v4_clothing')


def hue(color):
    return colorsys.rgb_to_hsv(*(value / 255 for value in color))[0]


def distance(one, other):
    """Between two hues, on the circle of length 1."""
    return min((one - other) % 1, (other - one) % 1)


def test_by_hand():
    taxonomy = Taxonomy('t', 'abc', [('x',), ('y',), ('x',)])
    # Hues 0 and 1/2; shades from (saturation 0.9, value 0.65) to (0.55, 1).
    assert superclass_palette(taxonomy) == [(166, 17, 17), (17, 166, 166), (255, 115, 115)]


@pytest.mark.parametrize('name', BUILT_IN)
def test_hues_tell_superclasses_apart(name):
    taxonomy = Taxonomy.load(name)
    palette = superclass_palette(taxonomy)
    groups = taxonomy.group_index(0)
    for one in range(taxonomy.num_classes):
        for other in range(one):
            gap = distance(hue(palette[one]), hue(palette[other]))
            if groups[one] == groups[other]:
                assert gap < 0.02
            else:
                assert gap > 0.6 / taxonomy.num_groups(0)


@pytest.mark.parametrize('name', BUILT_IN)
def test_colors_are_distinct_plain_integers(name):
    palette = superclass_palette(Taxonomy.load(name))
    assert len(set(palette)) == len(palette)
    assert all(type(value) is int and 0 <= value <= 255 for color in palette for value in color)


def test_same_taxonomy_same_colors(garments, three_levels):
    assert superclass_palette(garments) == superclass_palette(Taxonomy.load(garments.to_dict()))
    # Only the coarsest level counts for the hue.
    coarse = Taxonomy('t', three_levels.classes, [path[:1] for path in three_levels.paths])
    assert superclass_palette(three_levels) == superclass_palette(coarse)


def test_one_class():
    assert superclass_palette(Taxonomy('t', ['a'])) == [(166, 17, 17)]


def test_a_flat_taxonomy_gives_each_class_a_hue():
    hues = sorted(map(hue, superclass_palette(Taxonomy('t', 'abcdefgh'))))
    assert hues == pytest.approx([n / 8 for n in range(8)], abs=0.01)
