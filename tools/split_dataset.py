"""Split a COCO file into train, val and test, or into folds:

python tools/split_dataset.py all.json --out splits
python tools/split_dataset.py all.json --out folds --folds 5 --group-by folder

Rare classes get into every part, images of a group stay together; see mmdet_multigrain/coco/split.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

try:
    import numpy as np

    from mmdet_multigrain import launch
    from mmdet_multigrain.coco import split
    from mmdet_multigrain.coco.columns import CocoColumns
    from mmdet_multigrain.coco.files import load_coco
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
        help=f'images that must stay together: {split.GROUPINGS} (what REGEX, or its first group, '
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


def outputs(args: argparse.Namespace, names: Sequence[str]) -> dict[Path, list[int]]:
    """Each file with the numbers of its parts."""
    if args.folds is None:
        return {args.out / f'{name}.json': [part] for part, name in enumerate(names)}
    files = {}
    for fold, name in enumerate(names):
        files[args.out / name / 'train.json'] = [n for n in range(len(names)) if n != fold]
        files[args.out / name / 'val.json'] = [fold]
    return files


def class_table(result: split.Split, names: Sequence[str]) -> Table:
    """Boxes of each class in all and in each part; then images and groups."""
    titles = [str(category.get('name')) for category in result.coco.categories]
    order = np.argsort(-result.counts.sum(0), kind='stable')
    lines = [(titles[row], result.counts[:, row].tolist()) for row in order]
    members = [result.part_of == part for part in range(len(names))]
    lines.append(('(images)', [int(chosen.sum()) for chosen in members]))
    lines.append(('(groups)', [len(np.unique(result.group_of[chosen])) for chosen in members]))
    columns = [Column('boxes of', left=True), *(Column(name, form=',') for name in ('all', *names))]
    return Table(columns, [[title, sum(numbers), *numbers] for title, numbers in lines])


def absent_line(result: split.Split) -> str | None:
    """Which classes are not in every part, if any."""
    absent = (result.counts == 0).any(0) & (result.counts.sum(0) > 0)
    names = [result.coco.categories[row].get('name') for row in np.flatnonzero(absent)]
    return f'not in every part, in too few groups: {show_list(names)}' if names else None


def main() -> None:
    args = parse_args()
    launch.escape_unknown_letters()
    fractions = shares(args)
    names = PARTS[: len(fractions)]
    if args.folds is not None:
        names = [f'fold{fold}' for fold in range(args.folds)]
    files = outputs(args, names)
    with error_source(args.file, AnnotationError):
        coco = CocoColumns(load_coco(args.file).content)
        if not coco.images or not coco.categories:
            raise AnnotationError('has no images or no categories; name an annotation file')
        launch.check_outputs(files, inputs=[args.file], replace=args.force)
        apart = split.group_images(coco, args.group_by)
        group_of = split.join_same_photos(coco, apart)
        joined = len(np.unique(apart)) - len(np.unique(group_of))
        if args.images:
            group_of = split.join_near_duplicates(coco, group_of, args.images, progress=True)
        result = split.split(coco, fractions, group_of=group_of, seed=args.seed)
        try:
            write_together(
                (path, dump_json(result.content(parts)) + b'\n') for path, parts in files.items()
            )
        except TypeError as error:  # half surrogates, say
            raise AnnotationError(
                f'cannot be written as JSON ({error}); tools/check_dataset.py --fix writes a copy '
                'that can'
            ) from None
    print(class_table(result, names).text())
    if line := absent_line(result):
        print(line)
    if strays := int((coco.image_of < 0).sum()):
        print(f'left out: {strays:,} annotations without an image')
    if joined:
        print(f'{joined:,} groups joined: their images name the same photos')
    print(f'written to {args.out}: {", ".join(str(path.relative_to(args.out)) for path in files)}')


if __name__ == '__main__':
    launch.run_tool(main)
