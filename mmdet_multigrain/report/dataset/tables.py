"""Statistics of a data set as tables, text, Markdown and plain values for JSON."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from mmdet_multigrain.utils.table import Column, Table

from .paper_counts import CountComparison
from .stats import LARGE, QUANTILES, SMALL, DatasetStats, GroupStats, SplitStats

SCHEMA_VERSION = 1
_LEGEND = (
    '{boxes}, crowds not counted; * the rarest 30%. What follows is of {train}: images '
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
_MOST_BOXES = 10  # images with more boxes share one entry of the line of text
_SIZES = ('small', 'medium', 'large')
_PERCENTS = [round(100 * quantile) for quantile in QUANTILES]
# Key, title and format of the columns that each file has.
_GROUP_COLUMNS = (
    ('boxes', 'boxes', ',d'),
    ('images', 'images', ',d'),
    ('crowds', 'crowds', ',d'),
    *((size, size, ',d') for size in _SIZES),
    *((f'{size}_share', size, '.0%') for size in _SIZES),
    *((f'size_px_q{percent}', f'{percent}% px', '.0f') for percent in _PERCENTS),
    *((f'size_relative_q{percent}', f'{percent}% rel', '.1%') for percent in _PERCENTS),
)


def class_table(stats: DatasetStats) -> Table:
    """All that is known of each class, most training boxes first."""
    columns = [Column(key, left=True) for key in ('class', 'superclass', 'rare')]
    for split in stats.splits:
        titles = {'boxes': split.name} if len(stats.splits) > 1 else {}
        columns += [
            Column(_key(stats, split, key), titles.get(key, title), form)
            for key, title, form in _GROUP_COLUMNS
        ]
    thresholds = [f'{each.threshold:g}' for each in stats.resamplings]
    columns += [Column(f'repeat_{text}', f'r {text}', '.2f') for text in thresholds]
    rows = []
    for label in stats.by_count:
        row = stats.train.classes[label]
        cells = [cell for split in stats.splits for cell in _group_cells(split.classes[label])]
        factors = [each.class_factors[label] for each in stats.resamplings]
        rows.append((row.name, row.superclass, label in stats.rarest, *cells, *factors))
    return Table(columns, rows)


def _key(stats: DatasetStats, split: SplitStats, key: str) -> str:
    """Key of a column of a file; a single file needs no prefix."""
    return f'{split.name}_{key}' if len(stats.splits) > 1 else key


def _group_cells(row: GroupStats) -> list[Any]:
    counts = row.small, row.medium, row.large
    none = (None,) * len(QUANTILES)
    return [
        row.boxes if row.listed else None,
        row.images if row.listed else None,
        row.crowds,
        *counts,
        *(_share(count, row.boxes) for count in counts),
        *(row.size_px or none),
        *(row.size_relative or none),
    ]


def short_class_table(stats: DatasetStats) -> Table:
    """The columns of the class table that fit on a screen."""
    of_train = ['images', *(['crowds'] if stats.train.crowds else [])]
    of_train += [f'{size}_share' for size in _SIZES] + ['size_px_q50', 'size_relative_q50']
    keys = ['class', *(['superclass'] if stats.is_grouped else []), 'rare']
    keys += [_key(stats, split, 'boxes') for split in stats.splits]
    keys += [_key(stats, stats.train, key) for key in of_train]
    keys += [f'repeat_{each.threshold:g}' for each in stats.resamplings]
    return class_table(stats).select(keys)


def coarse_table(stats: DatasetStats) -> Table:
    """Boxes of which only the superclass is known, most training boxes first."""
    labels = stats.taxonomy.labels
    columns = [Column('superclass only', left=True), Column('level'), Column('classes', form=',d')]
    rows = []
    for label in stats.coarse_labels:
        level, count = labels.levels[label], int(labels.sets[label].sum())
        cells = labels.names[label], 'any' if level is None else str(level), count
        rows.append((*cells, *_sums(stats, [split.of_label(label) for split in stats.splits])))
    return Table([*columns, *_sum_columns(stats)], rows)


def _sum_columns(stats: DatasetStats) -> list[Column]:
    several = len(stats.splits) > 1
    return [
        Column(_key(stats, split, key), f'{key} {split.name}' if several else key, form)
        for split in stats.splits
        for key, form in (('boxes', ',d'), ('share', '.1%'), ('images', ',d'))
    ]


def _sums(stats: DatasetStats, by_split: Sequence[GroupStats]) -> list[Any]:
    """Cells of `_sum_columns` for what is known of a group in each file."""
    cells = []
    for split, own in zip(stats.splits, by_split, strict=True):
        cells += [own.boxes, _share(own.boxes, split.boxes), own.images]
    return cells


def superclass_tables(stats: DatasetStats) -> list[Table]:
    """The table of each level above the classes, the coarsest first."""
    return [superclass_table(stats, level) for level in range(len(stats.train.levels))]


def superclass_table(stats: DatasetStats, level: int = 0) -> Table:
    """Sums of each superclass, or of each group of a finer level, most training boxes first."""
    is_named = level or stats.taxonomy.trees
    title = f'{stats.taxonomy.level_title(level)} group' if is_named else 'superclass'
    columns = [Column(title, left=True), Column('classes', form=',d')]
    rows = []
    for group, row in enumerate(stats.train.levels[level]):
        count = stats.taxonomy.group_index(level).count(group)
        sums = _sums(stats, [split.levels[level][group] for split in stats.splits])
        rows.append((row.name, count, *sums))
    rows.sort(key=lambda cells: -cells[2])
    return Table([*columns, *_sum_columns(stats)], rows)


def resampling_table(stats: DatasetStats) -> Table:
    """Class-balanced sampling of the training set, one row for each threshold."""
    columns = [
        Column('threshold', 'T', 'g'),
        Column('repeated', 'classes repeated', ',d'),
        Column('largest', 'largest factor', '.2f'),
        Column('epoch', 'images in an epoch', ',d'),
        Column('growth', 'times the plain epoch', '.2f'),
    ]
    rows = []
    for each in stats.resamplings:
        factors = [factor for factor in each.class_factors if factor is not None]
        repeated = sum(factor > 1 for factor in factors)
        growth = each.epoch / each.num_images
        rows.append((each.threshold, repeated, max(factors), each.epoch, growth))
    return Table(columns, rows)


def split_lines(stats: DatasetStats) -> list[str]:
    """Each file in a few lines, and the rarest classes."""
    rarest = ', '.join(stats.taxonomy.classes[label] for label in stats.rarest)
    return [
        *(line for split in stats.splits for line in _lines_of_split(split)),
        f'rarest 30% ({len(stats.rarest)} of {stats.num_learned} classes, by '
        f'boxes in {stats.train.name}), marked *: {rarest}',
    ]


def _lines_of_split(split: SplitStats) -> list[str]:
    present = [row for row in split.classes if row.boxes]
    lines = [
        f'{split.name}: {split.num_images:,} images ({split.boxes_per_image[0]:,} without '
        f'boxes), {sum(split.counts):,} boxes of {len(present)} classes'
        + (f', {split.coarse_boxes:,} with a superclass only' if split.coarse_boxes else '')
        + (f', {split.crowds:,} crowds' if split.crowds else ''),
        f'  boxes per image: {_boxes_per_image(split)}',
    ]
    if present:
        most, least = (choose(present, key=lambda row: row.boxes) for choose in (max, min))
        lines.append(
            f'  imbalance {split.imbalance:,.0f} : 1 ({most.name} {most.boxes:,}, {least.name} '
            f'{least.boxes:,})'
        )
    empty = [row.name for row in split.classes if row.listed and not row.boxes]
    unlisted = [row.name for row in split.classes if not row.listed]
    lines += [f'  no boxes: {_names(empty)}'] if empty else []
    lines += [f'  not among its categories: {_names(unlisted)}'] if unlisted else []
    if split.left_out:
        lines += ['  left out:', *(f'  {line}' for line in split.remarks.splitlines())]
    return lines


def comparison_lines(comparison: CountComparison) -> list[str]:
    """Our sums and the paper's, and what is in no sum."""
    lines = [str(check) for check in comparison.sums]
    if comparison.others:
        lines.append(f'in no sum, the paper does not have them: {_names(comparison.others)}')
    return lines


def render_text(stats: DatasetStats, comparison: CountComparison | None = None) -> str:
    """The text for the screen."""
    parts = [f'{short_class_table(stats).text()}\n{_wrap(_legend(stats))}']
    if stats.is_grouped:
        parts += [table.text() for table in superclass_tables(stats)]
    parts += [coarse_table(stats).text()] if stats.coarse_labels else []
    parts += [
        '\n'.join(split_lines(stats)),
        f'{_wrap(_SAMPLING)}\n{resampling_table(stats).text()}',
    ]
    if comparison is not None:
        title = f'compared with the paper ({comparison.dataset}, "Num")'
        lines = [title, comparison.table().text(), *comparison_lines(comparison)]
        parts.append('\n'.join(lines))
    return '\n\n'.join(parts)


def render_markdown(stats: DatasetStats, comparison: CountComparison | None = None) -> str:
    """The same as Markdown."""
    names = ', '.join(split.name for split in stats.splits)
    parts = [f'# Statistics: {names}', _code(split_lines(stats))]
    parts += ['## Classes', short_class_table(stats).markdown(), _legend(stats)]
    if stats.is_grouped:
        tables = [table.markdown() for table in superclass_tables(stats)]
        parts += ['## Superclasses', *tables]
    if stats.coarse_labels:
        parts += ['## Boxes with a superclass only', coarse_table(stats).markdown()]
    parts += ['## Class-balanced sampling', _SAMPLING, resampling_table(stats).markdown()]
    if comparison is not None:
        parts.append(f'## Compared with the paper ({comparison.dataset}, "Num")')
        parts += [comparison.table().markdown(), _code(comparison_lines(comparison))]
    return '\n\n'.join(parts) + '\n'


def to_dict(stats: DatasetStats, comparison: CountComparison | None = None) -> dict[str, Any]:
    """Plain values for JSON, at full precision; what is unknown is None."""
    classes = stats.taxonomy.classes
    content = {
        'schema_version': SCHEMA_VERSION,
        'taxonomy': stats.taxonomy.name,
        'quantiles': QUANTILES,
        'splits': [_split_dict(split) for split in stats.splits],
        'rarest': {
            'counted_on': stats.train.name,
            'classes': [classes[label] for label in stats.rarest],
        },
        'class_balanced_sampling': [
            {
                'oversample_thr': each.threshold,
                'images': each.num_images,
                'epoch': each.epoch,
                'expected_epoch': each.expected,
                'repeat_factors': dict(zip(classes, each.class_factors, strict=True)),
            }
            for each in stats.resamplings
        ],
    }
    if comparison is not None:
        content['paper'] = {
            'dataset': comparison.dataset,
            'classes': [asdict(row) | {'ratio': row.ratio} for row in comparison.classes],
            'sums': [
                asdict(check) | {'difference': check.boxes - check.paper}
                for check in comparison.sums
            ],
            'not_in_the_paper': comparison.others,
        }
    return content


def _split_dict(split: SplitStats) -> dict[str, Any]:
    return {
        'name': split.name,
        'images': split.num_images,
        'boxes': split.boxes,
        'crowds': split.crowds,
        'imbalance_ratio': None if math.isnan(split.imbalance) else split.imbalance,
        'boxes_per_image': split.boxes_per_image,
        'left_out': split.left_out,
        'classes': [asdict(row) for row in split.classes],
        'superclass_only': [asdict(row) for row in split.coarse if row.boxes],
        'superclasses': [asdict(row) for row in split.superclasses],
        'finer_levels': [[asdict(row) for row in level] for level in split.levels[1:]],
    }


def _legend(stats: DatasetStats) -> str:
    names = ', '.join(split.name for split in stats.splits)
    boxes = f'{names}: boxes' if len(stats.splits) > 1 else 'boxes'
    return _LEGEND.format(boxes=boxes, train=stats.train.name, small=SMALL, large=LARGE)


def _boxes_per_image(split: SplitStats) -> str:
    counts, total = split.boxes_per_image, split.num_images
    median = int(np.searchsorted(np.cumsum(counts), total / 2))
    shown, rest = counts[: _MOST_BOXES + 1], counts[_MOST_BOXES + 1 :]
    entries = [f'{number}: {_percent(count, total)}' for number, count in enumerate(shown) if count]
    entries += [f'more: {_percent(sum(rest), total)}'] if rest else []
    mean, most = split.boxes / total, len(counts) - 1
    return f'mean {mean:.2f}, median {median}, most {most} ({", ".join(entries)})'


def _percent(count: int, total: int) -> str:
    """A share in percent; `< 1%` where it would round to 0."""
    share = 100 * count / total
    return '< 1%' if 0 < share < 0.5 else f'{share:.0f}%'


def _share(count: int, total: int) -> float | None:
    return count / total if total else None


def _names(names: Sequence[str]) -> str:
    rest = len(names) - _SHOWN_NAMES
    return ', '.join(names[:_SHOWN_NAMES]) + (f' and {rest} more' if rest > 0 else '')


def _wrap(text: str) -> str:
    return textwrap.fill(text, _TEXT_WIDTH, break_long_words=False, break_on_hyphens=False)


def _code(lines: Sequence[str]) -> str:
    return '\n'.join(['```', *lines, '```'])
