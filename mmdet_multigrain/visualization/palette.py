"""Colors of a taxonomy: one hue per superclass, one shade per class."""

from __future__ import annotations

import colorsys

from mmdet_multigrain.taxonomy.taxonomy import Taxonomy


def superclass_palette(taxonomy: Taxonomy) -> list[tuple[int, int, int]]:
    """Color of each class in label order, as (red, green, blue) from 0 to 255.

    Classes of one superclass (the coarsest level) share a hue and differ in brightness; hues are
    spread evenly over the superclasses. The same taxonomy always gives the same colors.
    """
    groups = taxonomy.group_index(0)
    num_groups = max(groups) + 1
    members = [groups.count(group) for group in range(num_groups)]
    seen = [0] * num_groups
    palette = []
    for group in groups:
        share = seen[group] / max(members[group] - 1, 1)
        seen[group] += 1
        rgb = colorsys.hsv_to_rgb(group / num_groups, 0.9 - 0.35 * share, 0.65 + 0.35 * share)
        palette.append(tuple(round(255 * value) for value in rgb))
    return palette
