"""One palette per taxonomy: a color for each superclass, a shade of it for each class.

All pictures and figures take their colors from here; MMDetection's visualizer gets them through
the `palette` of the data set's metainfo. The colors depend on the taxonomy alone, so that a
superclass has the same color everywhere. Text always accompanies a color.
"""

from __future__ import annotations

from collections import Counter

from mmdet_multigrain.taxonomy import Taxonomy

Color = tuple[int, int, int]
# Searched for the largest CIEDE2000 distance of any two, and to `MISSED` and `NO_SUPERCLASS`, for
# normal, protan and deutan vision (Machado et al., 2009): at least 14 for each. Ordered so that
# the first few are the farthest apart. An evenly spaced color wheel of 8 gets to 2.
HUES = (
    '#c9a50c',
    '#5a3586',
    '#43ccde',
    '#81253d',
    '#6186ff',
    '#a1c38d',
    '#1b8952',
    '#cb4fad',
)
NO_SUPERCLASS = '#8a8a8a'
SCORE_THR = 0.3  # lowest score on pictures of detections, in predict and in tests
MISSED = (214, 0, 0)  # ground truth without a detection, in all pictures
# Lightness of the first eight superclasses, the second and the third eight: -1 is black, 1 white.
_LIGHTNESS = (0.0, -0.5, 0.5)
_SPREAD, _NARROW_SPREAD = 0.4, 0.12  # of the classes around their superclass


def superclass_colors(taxonomy: Taxonomy) -> dict[str, str]:
    """The color of each superclass (group of the coarsest level) by name, as `#rrggbb`.

    Superclasses with the most classes get the first of the `HUES`; of equal ones, the first named.
    Beyond eight, the hues come again darker, then lighter; beyond 24, colors repeat. Classes
    without a superclass are gray, unless no class has one: then each gets its own color.
    """
    ranks = _ranks(taxonomy)
    colors = {}
    for group, name in enumerate(taxonomy.group_names(0)):
        color = _shade(*_base(ranks.get(group)))
        colors[name] = '#{:02x}{:02x}{:02x}'.format(*color)
    return colors


def class_palette(taxonomy: Taxonomy) -> list[Color]:
    """The color of each class in label order, as (red, green, blue) from 0 to 255.

    Classes of one superclass have its hue in equal steps of lightness, dark to light.
    """
    ranks = _ranks(taxonomy)
    keys = [ranks.get(group) for group in taxonomy.group_index(0)]
    sizes, seen = Counter(keys), Counter()
    spread = _SPREAD if len(ranks) <= len(HUES) else _NARROW_SPREAD
    palette = []
    for key in keys:
        hue, lightness = _base(key)
        if sizes[key] > 1:
            lightness += spread * (2 * seen[key] / (sizes[key] - 1) - 1)
        seen[key] += 1
        palette.append(_shade(hue, lightness))
    return palette


def _ranks(taxonomy: Taxonomy) -> dict[int, int]:
    """Place of each group by number of classes; classes without a superclass are left out."""
    groups = taxonomy.group_index(0)
    sizes = Counter(
        group
        for group, path in zip(groups, taxonomy.paths, strict=True)
        if path or taxonomy.is_ungrouped
    )
    return {group: rank for rank, (group, _) in enumerate(sizes.most_common())}


def _base(rank: int | None) -> tuple[str, float]:
    """Hue and lightness of a superclass."""
    if rank is None:
        return NO_SUPERCLASS, 0.0
    return HUES[rank % len(HUES)], _LIGHTNESS[rank // len(HUES) % len(_LIGHTNESS)]


def _shade(hue: str, lightness: float) -> Color:
    """The color mixed with black (to -1) or white (to 1)."""
    end = 255 if lightness > 0 else 0
    parts = (int(hue[start : start + 2], 16) for start in (1, 3, 5))
    red, green, blue = (round(part + abs(lightness) * (end - part)) for part in parts)
    return red, green, blue
