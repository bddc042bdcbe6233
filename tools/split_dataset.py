"""Split a COCO file into train, val and test, or into folds:

python tools/split_dataset.py all.json --out splits
python tools/split_dataset.py all.json --out folds --folds 5 --group-by folder

Rare classes get into every part, images of a group stay together; see mmdet_multigrain/coco/split.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

try:
    import numpy as np

    from mmdet_multigrain import launch
    from mmdet_multigrain.coco.columns import CocoColumns
    from mmdet_multigrain.coco.files import load_coco
    from mmdet_multigrain.coco.split import (
        GROUPINGS,
        Split,
        group_images,
        join_near_duplicates,
        join_same_photos,
        split,
    )
    from mmdet_multigrain.utils.errors import AnnotationError, ConfigError, error_source
    from mmdet_multigrain.utils.files import dump_json, write_together
    from mmdet_multigrain.utils.messages import show_list
    from mmdet_multigrain.utils.table import Column, Table
except ImportError as error:
    raise SystemExit(f'error: {error}; fix: bash tools/setup.sh; . .venv/bin/activate') from None

PARTS = ('train', 'val', 'test')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Split a COCO file into train, val and test, or into folds'
    )
    parser.add_argument('file', type=Path, help='COCO file')
    parser.add_argument(
        '--out',
        type=Path,
        required=True,
        metavar='DIR',
        help='folder for train.json, val.json, test.json; for folds fold0/train.json, ...',
    )
    parser.add_argument(
        '--fractions',
        type=float,
        nargs='+',
        metavar='F',
        help='shares of train, val and, if there are three, test (default: 0.7 0.15 0.15)',
    )
    parser.add_argument('--folds', type=int, metavar='K', help='K folds, each val once')
    parser.add_argument(
        '--group-by',
        metavar='HOW',
        help=f'images that must stay together: {GROUPINGS} (what REGEX, or its first group, '
        'matches in the file name)',
    )
    parser.add_argument(
        '--images',
        type=Path,
        metavar='DIR',
        help="folder that 'file_name' is relative to; photos that look the same stay together",
    )
    parser.add_argument(
        '--seed', type=launch.whole_number(0), default=0, help='default: %(default)s'
    )
    launch.add_force(parser)
    args = parser.parse_args()
    if args.folds is not None and args.fractions:
        parser.error('--fractions and --folds exclude each other')
    return args


def shares(args: argparse.Namespace) -> list[float]:
    """Share of each part."""
    if args.folds is not None:
        if args.folds < 2:
            raise ConfigError(f'--folds {args.folds}: at least 2')
        return [1 / args.folds] * args.folds
    fractions = args.fractions or [0.7, 0.15, 0.15]
    is_whole = math.isclose(math.fsum(fractions), 1, abs_tol=1e-6)
    if len(fractions) not in (2, 3) or min(fractions) <= 0 or not is_whole:
        given = ' '.join(f'{fraction:g}' for fraction in fractions)
        raise ConfigError(f'--fractions {given}: give two or three above 0 that sum to 1')
    return fractions


def outputs(args: argparse.Namespace, num_parts: int) -> dict[Path, list[int]]:
    """Each file with its parts.

    Raises:
        ConfigError: A file already exists, or is the input.
    """
    if args.folds is None:
        files = {args.out / f'{PARTS[part]}.json': [part] for part in range(num_parts)}
    else:
        files = {}
        for fold in range(num_parts):
            others = [part for part in range(num_parts) if part != fold]
            files[args.out / f'fold{fold}' / 'train.json'] = others
            files[args.out / f'fold{fold}' / 'val.json'] = [fold]
    launch.check_outputs(files, inputs=[args.file], replace=args.force)
    return files


def class_table(result: Split, names: list[str]) -> Table:
    """Boxes of each class in all and in each part; then images and groups."""
    parts = [Column(name, form=',') for name in names]
    titles = [str(category.get('name')) for category in result.coco.categories]
    order = np.argsort(-result.counts.sum(0), kind='stable')
    rows = [
        [titles[row], int(result.counts[:, row].sum()), *map(int, result.counts[:, row])]
        for row in order
    ]
    for title, group_of in (
        ('(images)', np.arange(len(result.part_of))),
        ('(groups)', result.group_of),
    ):
        numbers = [len(np.unique(group_of[result.part_of == part])) for part in range(len(names))]
        rows.append([title, sum(numbers), *numbers])
    return Table([Column('boxes of', left=True), Column('all', form=','), *parts], rows)


def absent_line(result: Split) -> str | None:
    """Which classes are not in every part, if any."""
    absent = (result.counts == 0).any(0) & (result.counts.sum(0) > 0)
    names = [result.coco.categories[row].get('name') for row in np.flatnonzero(absent)]
    return f'not in every part, in too few groups: {show_list(names)}' if names else None


def main() -> None:
    args = parse_args()
    launch.escape_unknown_letters()
    fractions = shares(args)
    with error_source(args.file, AnnotationError):
        coco = CocoColumns(load_coco(args.file).content)
        if not coco.images or not coco.categories:
            raise AnnotationError('has no images or no categories; name an annotation file')
        files = outputs(args, len(fractions))
        apart = group_images(coco, args.group_by)
        group_of = join_same_photos(coco, apart)
        joined = len(np.unique(apart)) - len(np.unique(group_of))
        if args.images:
            group_of = join_near_duplicates(coco, group_of, args.images, progress=True)
        result = split(coco, fractions, group_of=group_of, seed=args.seed)
        try:
            write_together(
                (path, dump_json(result.content(parts)) + b'\n') for path, parts in files.items()
            )
        except TypeError as error:  # half surrogates, say
            raise AnnotationError(
                f'cannot be written as JSON ({error}); tools/check_dataset.py --fix writes a copy '
                'that can'
            ) from None
    names = list(PARTS) if args.folds is None else [f'fold{fold}' for fold in range(args.folds)]
    print(class_table(result, names[: len(fractions)]).text())
    if line := absent_line(result):
        print(line)
    if strays := int((coco.image_of < 0).sum()):
        print(f'left out: {strays:,} annotations without an image')
    if joined:
        print(f'{joined:,} groups joined: their images name the same photos')
    print(f'written to {args.out}: {", ".join(str(path.relative_to(args.out)) for path in files)}')


if __name__ == '__main__':
    launch.run_tool(main)
