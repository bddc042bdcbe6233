"""Split a COCO file into parts in which every class has its share, without tearing groups apart.

Iterative stratification (Sechidis et al., ECML 2011) on groups of images: the rarest class is
dealt out first, each group to the part that it fills least.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from mmdet_multigrain.utils.errors import AnnotationError, ConfigError
from mmdet_multigrain.utils.messages import show
from mmdet_multigrain.utils.progress import progress_bar

from .columns import CocoColumns, first_rows
from .looks import look_alikes, look_at

GROUPINGS = 'folder, name:REGEX or field:KEY'


@dataclass(frozen=True)
class Split:
    """Which part each image belongs to."""

    coco: CocoColumns
    part_of: np.ndarray  # (images,) number of the part
    group_of: np.ndarray  # (images,) number of the group; a group is in one part
    counts: np.ndarray  # (parts, categories) boxes that training uses

    def content(self, parts: Iterable[int]) -> dict[str, Any]:
        """The COCO file of these parts, entries in the order of the original."""
        chosen = np.append(np.isin(self.part_of, list(parts)), False)  # the last: of no image
        images = itertools.compress(self.coco.images, chosen)
        annotations = itertools.compress(self.coco.annotations, chosen[self.coco.image_of])
        return {**self.coco.content, 'images': [*images], 'annotations': [*annotations]}


def split(
    coco: CocoColumns,
    fractions: Sequence[float],
    *,
    group_of: np.ndarray | None = None,
    seed: int = 0,
) -> Split:
    """Deal the images of a COCO file out to parts.

    Args:
        coco: The columns of the file.
        fractions: Share of each part, of boxes of every class and of images.
        group_of: (images,) number of each image's group. Default: each image is its own.
        seed: Another seed gives another split.

    Raises:
        AnnotationError: There are fewer groups than parts, or two images have one id.
    """
    first = first_rows(coco.images)
    for row in np.flatnonzero(first != np.arange(len(first))):
        name, other = (coco.images[number].get('file_name') for number in (row, first[row]))
        problem = 'its id is that of another image; number the images apart'
        if name == other:
            problem = 'listed twice; remove one (tools/check_dataset.py --fix)'
        raise AnnotationError(f'{coco.name_image(row)}: {problem}')
    if group_of is None:
        group_of = np.arange(len(coco.images))
    num_groups = len(np.unique(group_of))
    if num_groups < len(fractions):
        raise AnnotationError(
            f'{len(coco.images)} images in {num_groups} groups cannot make {len(fractions)} parts; '
            'group less, or make fewer parts'
        )
    used = coco.counted()
    image_of, category_of = coco.image_of[used], coco.category_of[used]
    # The last column: images. 32 bits, as many photos of many classes make a large table.
    per_group = np.zeros((num_groups, len(coco.categories) + 1), np.int32)
    np.add.at(per_group, (group_of[image_of], category_of), 1)
    np.add.at(per_group[:, -1], group_of, 1)
    part_of = stratify(per_group, np.asarray(fractions, float), np.random.default_rng(seed))
    part_of = part_of[group_of]
    counts = np.zeros((len(fractions), len(coco.categories)), np.int64)
    np.add.at(counts, (part_of[image_of], category_of), 1)
    return Split(coco, part_of, group_of, counts)


def stratify(counts: np.ndarray, fractions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(groups,) the part of each group.

    Args:
        counts: (groups, labels) how often each label is in each group; each group has one at least.
        fractions: (parts,) share of each part.
        rng: Decides between equals.
    """
    num_parts = len(fractions)
    wanted = fractions[:, None] / fractions.sum() * counts.sum(0)  # (parts, labels)
    filled = np.zeros_like(wanted)
    part_of = np.full(len(counts), -1)
    rarest = np.argsort((counts[:, :-1] > 0).sum(0), kind='stable')  # in the fewest groups
    for label in (*rarest, counts.shape[1] - 1):  # images come last
        groups = rng.permutation(np.flatnonzero((part_of < 0) & (counts[:, label] > 0)))
        # Large groups first: the small ones can still level what they leave.
        groups = groups[np.argsort(-counts[groups, label], kind='stable')]
        for position, group in enumerate(groups):
            missing = filled[:, label] == 0
            left = len(groups) - position
            # The last groups go to the parts that would otherwise get none.
            candidates = np.flatnonzero(missing) if 0 < missing.sum() >= left else range(num_parts)
            full = (filled[:, label] + counts[group, label]) / wanted[:, label]
            share = filled[:, -1] / wanted[:, -1]
            part = min(candidates, key=lambda part: (full[part], share[part], rng.random()))
            part_of[group] = part
            filled[part] += counts[group]
    return part_of


def group_images(coco: CocoColumns, grouping: str | None) -> np.ndarray:
    """(images,) number of the group of each image.

    A grouping is the `folder` of the file name; `name:REGEX`, what its first group (without one,
    the whole of it) matches in the file name; `field:KEY` of the image; None: no groups.

    Raises:
        ConfigError: The grouping cannot be read.
        AnnotationError: An image has no such thing.
    """
    if grouping is None:
        return np.arange(len(coco.images))
    kind, _, rest = grouping.partition(':')
    if grouping != 'folder' and (kind not in ('name', 'field') or not rest):
        raise ConfigError(f'--group-by {grouping}: not {GROUPINGS}')
    try:
        pattern = re.compile(rest) if kind == 'name' else None
    except re.error as error:
        raise ConfigError(f'--group-by {grouping}: not a regular expression ({error})') from None
    numbers: dict[Hashable, int] = {}
    keys = (_key(coco, row, kind, pattern, rest) for row in range(len(coco.images)))
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)


def _key(
    coco: CocoColumns, row: int, kind: str, pattern: re.Pattern | None, field: str
) -> Hashable:
    if kind == 'field':
        value = coco.images[row].get(field)
        if value is None:
            raise AnnotationError(
                f'{coco.name_image(row)}: has no {show(field)}; --group-by takes {GROUPINGS}'
            )
        return repr(value)
    name = coco.file_name(row)
    if name is None:
        raise AnnotationError(f'{coco.name_image(row)}: has no file name to group it by')
    if pattern is None:
        return str(PurePosixPath(name.replace('\\', '/')).parent)
    found = pattern.search(name)
    key = found and found[1 if pattern.groups else 0]
    if key is None:  # its first group may have no part in a match
        raise AnnotationError(
            f'{coco.name_image(row)}: {pattern.pattern!r} does not match its file name; '
            f'--group-by takes {GROUPINGS}'
        )
    return key


def join_same_photos(coco: CocoColumns, group_of: np.ndarray) -> np.ndarray:
    """Join the groups of images that name one photo; groups are (images,) numbers."""
    first: dict[str, int] = {}
    plain = ((row, str(PurePosixPath(name.replace('\\', '/')))) for row, name in coco.file_names())
    pairs = [(first.setdefault(name, row), row) for row, name in plain]
    return _joined(group_of, pairs)


def join_near_duplicates(
    coco: CocoColumns, group_of: np.ndarray, folder: Path, *, progress: bool = False
) -> np.ndarray:
    """Join the groups of photos that look the same: copies, resized, re-encoded, burst shots.

    Groups are (images,) numbers; file names are relative to the folder.

    Raises:
        AnnotationError: A photo cannot be read.
    """
    looks = []
    for row in progress_bar(range(len(coco.images)), desc='comparing', unit='photo', show=progress):
        looks.append(look_at(folder / (coco.file_name(row) or '')))
        if looks[-1] is None:
            raise AnnotationError(
                f'{coco.name_image(row)}: cannot be read in {folder}; check --images, or leave it out'
            )
    return _joined(group_of, look_alikes(looks, looks))


def _joined(group_of: np.ndarray, pairs: Iterable[tuple[int, int]]) -> np.ndarray:
    """New numbers of groups in which the two images of each pair are together."""
    parent = np.arange(group_of.max() + 1)

    def root(group: int) -> int:
        while parent[group] != group:
            parent[group] = parent[parent[group]]
            group = parent[group]
        return group

    for row, other in pairs:
        parent[root(group_of[other])] = root(group_of[row])
    return np.unique([root(group) for group in group_of], return_inverse=True)[1]
