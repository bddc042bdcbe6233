"""Statistics of a data set as tables, text, Markdown and plain values for JSON."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any

from mmdet_multigrain.evaluation.functional.imbalance import Resampling

from ..table import Column, Table
from .paper_counts import CountComparison
from .stats import LARGE, QUANTILES, SMALL, DatasetStats, GroupStats, SplitStats

SCHEMA_VERSION = 1
_LEGEND = (
    '{boxes}, crowds not counted; * the rarest 30 %. What follows is of {train}: images '
    'with the class; size (square root of the area) below {small} px, up to {large}, above (COCO); '
    "its median in px and as a share of the image's; r T: how often class-balanced sampling "
    'repeats the class.'
)
_SAMPLING = (
    'Class-balanced sampling (ClassBalancedDataset with oversample_thr = T): a class in the '
    'fraction f of the images with boxes is repeated max(1, sqrt(T / f)) times, an image as its '
    'rarest class.'
)
_TEXT_WIDTH = 100
_SHOWN_NAMES = 8
_MOST_BOXES = 10  # images with more boxes are one entry of the line of text


def class_table(stats: DatasetStats) -> Table:
    """All that is known of each class, most training boxes first."""
    rare = set(stats.rarest)
    columns = [
        Column('class', 'class', left=True),
        Column('superclass', 'superclass', left=True),
        Column('rare', 'rare', left=True),
    ]
    cells = [
        [stats.taxonomy.classes[label], stats.train.classes[label].superclass, label in rare]
        for label in stats.by_count
    ]
    for split in stats.splits:
        # A single file needs no name.
        prefix, title = (f'{split.name}_', split.name) if len(stats.splits) > 1 else ('', 'boxes')
        columns += [
            Column(f'{prefix}boxes', title, ',d'),
            Column(f'{prefix}images', 'images', ',d'),
            Column(f'{prefix}crowds', 'crowds', ',d'),
            *(Column(f'{prefix}{size}', size, ',d') for size in ('small', 'medium', 'large')),
            *(
                Column(f'{prefix}{size}_share', size, '.0%')
                for size in ('small', 'medium', 'large')
            ),
            *(
                Column(f'{prefix}size_px_q{round(100 * q)}', f'{round(100 * q)} % px', '.0f')
                for q in QUANTILES
            ),
            *(
                Column(f'{prefix}size_relative_q{round(100 * q)}', f'{round(100 * q)} % rel', '.1%')
                for q in QUANTILES
            ),
        ]
        for row, label in zip(cells, stats.by_count, strict=True):
            row += _group_cells(split.classes[label])
    for resampling in stats.resamplings:
        columns.append(
            Column(f'repeat_{resampling.threshold:g}', f'r {resampling.threshold:g}', '.2f')
        )
        for row, label in zip(cells, stats.by_count, strict=True):
            row.append(resampling.class_factors[label])
    return Table(tuple(columns), tuple(map(tuple, cells)))


def short_class_table(stats: DatasetStats) -> Table:
    """What of the class table fits on a screen."""
    several = len(stats.splits) > 1
    train = f'{stats.train.name}_' if several else ''
    keys = [
        'class',
        *(['superclass'] if stats.is_grouped else []),
        'rare',
        *(f'{split.name}_boxes' for split in stats.splits if several),
        *([] if several else ['boxes']),
        f'{train}images',
    ]
    keys += [f'{train}crowds'] if stats.train.crowds else []
    keys += [f'{train}{size}_share' for size in ('small', 'medium', 'large')]
    keys += [f'{train}size_px_q50', f'{train}size_relative_q50']
    keys += [f'repeat_{resampling.threshold:g}' for resampling in stats.resamplings]
    return class_table(stats).select(keys)


def superclass_table(stats: DatasetStats) -> Table:
    """Sums of each superclass, most training boxes first."""
    sizes = [
        stats.taxonomy.group_index(0).count(group) for group in range(stats.taxonomy.num_groups(0))
    ]
    several = len(stats.splits) > 1
    columns = (
        Column('superclass', 'superclass', left=True),
        Column('classes', 'classes', ',d'),
        *(
            Column(
                f'{split.name}_{key}' if several else key,
                f'{key} {split.name}' if several else key,
                form,
            )
            for split in stats.splits
            for key, form in (('boxes', ',d'), ('share', '.1%'), ('images', ',d'))
        ),
    )
    order = sorted(range(len(sizes)), key=lambda group: -stats.train.superclasses[group].boxes)
    return Table(
        columns,
        tuple(
            (
                stats.train.superclasses[group].name,
                sizes[group],
                *(
                    cell
                    for split in stats.splits
                    for cell in (
                        split.superclasses[group].boxes,
                        _share(split.superclasses[group].boxes, split.boxes),
                        split.superclasses[group].images,
                    )
                ),
            )
            for group in order
        ),
    )


def resampling_table(stats: DatasetStats) -> Table:
    """Class-balanced sampling of the training set, one row for each threshold."""
    return Table(
        (
            Column('threshold', 'T', 'g'),
            Column('repeated', 'classes repeated', ',d'),
            Column('largest', 'largest factor', '.2f'),
            Column('epoch', 'images in an epoch', ',d'),
            Column('growth', 'times the plain epoch', '.2f'),
        ),
        tuple(
            (
                each.threshold,
                sum(factor > 1 for factor in _factors(each)),
                max(_factors(each)),
                each.epoch,
                each.epoch / each.num_images,
            )
            for each in stats.resamplings
        ),
    )


def split_lines(stats: DatasetStats) -> list[str]:
    """What a file says as a whole, in a few lines for each file."""
    lines = []
    for split in stats.splits:
        lines.append(
            f'{split.name}: {split.num_images:,} images ({split.boxes_per_image[0]:,} without '
            f'boxes), {split.boxes:,} boxes of {_num_present(split)} classes'
            + (f', {split.crowds:,} crowds' if split.crowds else '')
        )
        lines.append(f'  boxes per image: {_boxes_per_image(split)}')
        counts = split.counts
        if split.boxes:
            most = max(range(len(counts)), key=counts.__getitem__)
            least = min(
                (label for label, count in enumerate(counts) if count), key=counts.__getitem__
            )
            lines.append(
                f'  imbalance {split.imbalance:,.0f} : 1 ({split.classes[most].name} '
                f'{counts[most]:,}, {split.classes[least].name} {counts[least]:,})'
            )
        for title, rows in (
            ('no boxes', [row for row in split.classes if row.listed and not row.boxes]),
            ('not among its categories', [row for row in split.classes if not row.listed]),
        ):
            if rows:
                lines.append(f'  {title}: {_names([row.name for row in rows])}')
        if split.left_out:
            lines += ['  left out:', *(f'  {line}' for line in split.remarks.splitlines())]
    lines.append(
        f'rarest 30 % ({len(stats.rarest)} of {stats.taxonomy.num_classes} classes, by '
        f'boxes in {stats.train.name}), marked *: '
        f'{_names([stats.taxonomy.classes[label] for label in stats.rarest], most=None)}'
    )
    return lines


def comparison_lines(comparison: CountComparison) -> list[str]:
    """The paper's sums beside ours, and what is in no sum."""
    lines = [str(check) for check in comparison.sums]
    if comparison.others:
        lines.append(f'in no sum, the paper does not have them: {_names(comparison.others)}')
    return lines


def render_text(stats: DatasetStats, comparison: CountComparison | None = None) -> str:
    """What the screen shows."""
    parts = [f'{short_class_table(stats).text()}\n{_wrap(_legend(stats))}']
    if stats.is_grouped:
        parts.append(superclass_table(stats).text())
    parts += [
        '\n'.join(split_lines(stats)),
        f'{_wrap(_SAMPLING)}\n{resampling_table(stats).text()}',
    ]
    if comparison is not None:
        parts.append(
            '\n'.join(
                [
                    f'beside the paper ({comparison.dataset}, "Num")',
                    comparison.table().text(),
                    *comparison_lines(comparison),
                ]
            )
        )
    return '\n\n'.join(parts)


def render_markdown(stats: DatasetStats, comparison: CountComparison | None = None) -> str:
    """The same as Markdown."""
    names = ', '.join(split.name for split in stats.splits)
    parts = [
        f'# Statistics: {names}',
        _block(split_lines(stats)),
        '## Classes',
        short_class_table(stats).markdown(),
        _legend(stats),
    ]
    if stats.is_grouped:
        parts += ['## Superclasses', superclass_table(stats).markdown()]
    parts += ['## Class-balanced sampling', _SAMPLING, resampling_table(stats).markdown()]
    if comparison is not None:
        parts += [
            f'## Beside the paper ({comparison.dataset}, "Num")',
            comparison.table().markdown(),
            _block(comparison_lines(comparison)),
        ]
    return '\n\n'.join(parts) + '\n'


def to_dict(stats: DatasetStats, comparison: CountComparison | None = None) -> dict[str, Any]:
    """Plain values for JSON, at full precision; what is unknown is None."""
    content = {
        'schema_version': SCHEMA_VERSION,
        'taxonomy': stats.taxonomy.name,
        'quantiles': list(QUANTILES),
        'splits': [_split_dict(split) for split in stats.splits],
        'rarest': {
            'counted_on': stats.train.name,
            'classes': [stats.taxonomy.classes[label] for label in stats.rarest],
        },
        'class_balanced_sampling': [
            {
                'oversample_thr': each.threshold,
                'images': each.num_images,
                'epoch': each.epoch,
                'expected_epoch': each.expected,
                'repeat_factors': dict(
                    zip(stats.taxonomy.classes, each.class_factors, strict=True)
                ),
            }
            for each in stats.resamplings
        ],
    }
    if comparison is not None:
        content['paper'] = {
            'dataset': comparison.dataset,
            'classes': [
                {'name': row.name, 'boxes': row.boxes, 'paper': row.paper, 'ratio': row.ratio}
                for row in comparison.classes
            ],
            'sums': [
                {
                    'what': check.what,
                    'boxes': check.boxes,
                    'paper': check.paper,
                    'difference': check.boxes - check.paper,
                }
                for check in comparison.sums
            ],
            'not_in_the_paper': list(comparison.others),
        }
    return content


def _split_dict(split: SplitStats) -> dict[str, Any]:
    return {
        'name': split.name,
        'images': split.num_images,
        'boxes': split.boxes,
        'crowds': split.crowds,
        'imbalance_ratio': None if math.isnan(split.imbalance) else split.imbalance,
        'boxes_per_image': list(split.boxes_per_image),
        'left_out': split.left_out,
        'classes': [_group_dict(row) for row in split.classes],
        'superclasses': [_group_dict(row) for row in split.superclasses],
    }


def _group_dict(row: GroupStats) -> dict[str, Any]:
    sizes = row.sizes
    return {
        'name': row.name,
        'superclass': row.superclass,
        'listed': row.listed,
        'boxes': row.boxes,
        'images': row.images,
        'crowds': row.crowds,
        'small': sizes.small,
        'medium': sizes.medium,
        'large': sizes.large,
        'size_px': sizes.pixels and list(sizes.pixels),
        'size_relative': sizes.relative and list(sizes.relative),
    }


def _group_cells(row: GroupStats) -> list[Any]:
    counts = row.sizes.small, row.sizes.medium, row.sizes.large
    none = (None,) * len(QUANTILES)
    return [
        row.boxes if row.listed else None,
        row.images if row.listed else None,
        row.crowds,
        *counts,
        *(_share(count, row.boxes) for count in counts),
        *(row.sizes.pixels or none),
        *(row.sizes.relative or none),
    ]


def _legend(stats: DatasetStats) -> str:
    names = ', '.join(split.name for split in stats.splits)
    return _LEGEND.format(
        boxes=f'{names}: boxes' if len(stats.splits) > 1 else 'boxes',
        train=stats.train.name,
        small=SMALL,
        large=LARGE,
    )


def _wrap(text: str) -> str:
    return textwrap.fill(text, _TEXT_WIDTH)


def _boxes_per_image(split: SplitStats) -> str:
    counts = split.boxes_per_image
    middle, seen = 0, counts[0]
    while 2 * seen < split.num_images:
        middle += 1
        seen += counts[middle]
    entries = [
        f'{number}: {_percent(count, split.num_images)}'
        for number, count in enumerate(counts[: _MOST_BOXES + 1])
        if count
    ]
    if len(counts) > _MOST_BOXES + 1:
        rest = sum(counts[_MOST_BOXES + 1 :])
        entries.append(f'more: {_percent(rest, split.num_images)}')
    return (
        f'mean {split.boxes / split.num_images:.2f}, median {middle}, '
        f'most {len(counts) - 1} ({", ".join(entries)})'
    )


def _percent(count: int, total: int) -> str:
    """A share in percent; one that is not nothing is not shown as 0 %."""
    share = 100 * count / total
    return '< 1 %' if 0 < share < 0.5 else f'{share:.0f} %'


def _factors(resampling: Resampling) -> list[float]:
    return [factor for factor in resampling.class_factors if factor is not None]


def _num_present(split: SplitStats) -> int:
    return sum(count > 0 for count in split.counts)


def _share(count: int, total: int) -> float | None:
    return count / total if total else None


def _names(names: Sequence[str], most: int | None = _SHOWN_NAMES) -> str:
    shown = list(names[:most])
    rest = len(names) - len(shown)
    return ', '.join(shown) + (f' and {rest} more' if rest else '')


def _block(lines: Sequence[str]) -> str:
    return '\n'.join(['```', *lines, '```'])
