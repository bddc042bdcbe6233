"""Open Images' release -> COCO JSON: python tools/dataset_converters/openimages_v4.py ROOT

ROOT holds train-annotations-bbox.csv and validation-annotations-bbox.csv, and the images in train/
and validation/. Writes ROOT/annotations/train.json and validation.json with the 40 classes of
clothing, prints boxes and images per class and what had to be left out. Options take other
classes, sizes without images, and files that are elsewhere.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

try:
    from mmdet_multigrain.converters import openimages_files as files
    from mmdet_multigrain.converters.openimages import COARSE, GROUP_OF, convert
    from mmdet_multigrain.converters.openimages_selection import load_selection
    from mmdet_multigrain.launch import run_tool
    from mmdet_multigrain.utils.errors import ConverterError
except ImportError as error:
    raise SystemExit(f'error: {error}; fix: bash tools/setup.sh; . .venv/bin/activate') from None


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Convert Open Images to COCO JSON')
    parser.add_argument(
        'boxes',
        type=Path,
        metavar='ROOT | BOXES.csv',
        help='folder of the release, or one of its box files (.csv or .csv.gz)',
    )
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument(
        '--images',
        type=Path,
        help='folder of the images, or of train/ and validation/ with them '
        '(default: the folder of the box file)',
    )
    sizes.add_argument(
        '--image-sizes',
        type=Path,
        metavar='CSV',
        help='CSV with the columns ImageID, Width, Height, instead of images',
    )
    parser.add_argument(
        '--out',
        type=Path,
        help='COCO file; with ROOT its folder (default: annotations/SPLIT.json '
        'next to the box file)',
    )
    parser.add_argument(
        '--split',
        choices=files.SPLITS,
        help='with ROOT: only this one; else what the file is, where its name does not say',
    )
    parser.add_argument(
        '--taxonomy',
        help='YAML file of the classes (tools/make_taxonomy.py '
        'writes one), default: the 40 of clothing',
    )
    parser.add_argument(
        '--node', help='instead: all classes below this one of the hierarchy, e.g. "Vehicle"'
    )
    parser.add_argument(
        '--hierarchy',
        type=Path,
        metavar='JSON',
        help='bbox_labels_600_hierarchy.json (default: next to the box file)',
    )
    parser.add_argument(
        '--descriptions',
        type=Path,
        metavar='CSV',
        help='class-descriptions-boxable.csv (default: next to the box file)',
    )
    parser.add_argument(
        '--group-of',
        choices=GROUP_OF,
        default=GROUP_OF[0],
        help='boxes of groups (IsGroupOf): mark them iscrowd, or leave them out '
        '(default: %(default)s)',
    )
    parser.add_argument(
        '--coarse',
        choices=COARSE,
        default=COARSE[0],
        help='boxes of a superclass in the hierarchy (Footwear, Hat, Clothing): leave them out, or keep '
        'them as boxes of which only the superclass is known (default: %(default)s)',
    )
    parser.add_argument(
        '--image-labels',
        type=Path,
        nargs='?',
        const=Path(),
        metavar='CSV',
        help='human-verified image labels: images then tell which classes they annotate, as in LVIS '
        '(without CSV: SPLIT-annotations-human-imagelabels-boxable.csv next to the box file)',
    )
    parser.add_argument(
        '--workers', type=int, help='processes that read image sizes (default: all cores)'
    )
    parser.add_argument(
        '--force', action='store_true', help='convert even what is up to date, and replace files'
    )
    return parser.parse_args()


def find_jobs(args: argparse.Namespace) -> list[tuple[str, Path, Path]]:
    """Split, box file and COCO file of each conversion."""
    if not args.boxes.exists():
        raise ConverterError(f'{args.boxes}: no such file or folder; check the path')
    if not args.boxes.is_dir():
        split = args.split or files.split_of(args.boxes)
        out = args.out or args.boxes.parent / 'annotations' / f'{split}.json'
        return [(split, args.boxes, out)]
    out_dir = args.out or args.boxes / 'annotations'
    if out_dir.is_file() or out_dir.suffix == '.json':
        raise ConverterError(
            f'--out {out_dir}: {args.boxes} is a folder, so name a folder for its '
            'splits, or name one box file'
        )
    found = files.find_boxes(args.boxes)
    if args.split and args.split not in found:
        raise ConverterError(
            f'{args.boxes}: no box file of split {args.split}, only of {", ".join(found)}'
        )
    splits = [args.split] if args.split else found
    return [(split, found[split], out_dir / f'{split}.json') for split in splits]


def main() -> None:
    args = parse_args()
    jobs = find_jobs(args)
    root = jobs[0][1].parent
    hierarchy = args.hierarchy or files.find_one(root, files.HIERARCHY)
    descriptions = args.descriptions or files.find_one(root, files.DESCRIPTIONS)
    named = dict(node=args.node, hierarchy=hierarchy, descriptions=descriptions)
    selection = load_selection(args.taxonomy, **named)
    splits = [split for split, _, _ in jobs]
    images, labels = [None] * len(jobs), [args.image_labels] * len(jobs)
    if not args.image_sizes:  # before the first split takes its time
        images = [files.find_images(root, split, args.images) for split in splits]
    if args.image_labels and args.image_labels.name and len(jobs) > 1:
        raise ConverterError(
            f'--image-labels {args.image_labels}: one file for {len(jobs)} splits; add --split, or name '
            'no file to take those next to the box files'
        )
    if args.image_labels and not args.image_labels.name:
        labels = [files.find_labels(root, split) for split in splits]
    options = dict(image_sizes=args.image_sizes, group_of=args.group_of, coarse=args.coarse)
    options |= dict(selection=selection, workers=args.workers, force=args.force)
    try:
        for (split, boxes, out), folder, file in zip(jobs, images, labels, strict=True):
            print(convert(boxes, out, split=split, images=folder, image_labels=file, **options))
    except KeyboardInterrupt:
        print(f'\ninterrupted; {out} was not written', file=sys.stderr)
        sys.exit(130)


if __name__ == '__main__':
    run_tool(main)
