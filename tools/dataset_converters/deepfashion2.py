"""DeepFashion2's release -> COCO JSON: python tools/dataset_converters/deepfashion2.py ROOT

ROOT holds train/{image,annos} and validation/{image,annos}. Writes ROOT/annotations/train.json
and validation.json, prints boxes and images per class and what had to be left out. A second run
converts only what has changed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

try:
    from mmdet_multigrain.converters.deepfashion2 import SPLITS, convert, find_folders
    from mmdet_multigrain.launch import run_tool, whole_number
except ImportError as error:
    raise SystemExit(f'error: {error}; fix: bash tools/setup.sh; . .venv/bin/activate') from None


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Convert DeepFashion2 to COCO JSON')
    parser.add_argument('root', type=Path, help='folder with train/ and validation/')
    parser.add_argument('--splits', nargs='+', choices=SPLITS, default=SPLITS, help='default: both')
    parser.add_argument('--out-dir', '--out', type=Path, help='default: ROOT/annotations')
    parser.add_argument(
        '--with-segmentation',
        action='store_true',
        help='keep the polygons (the files grow several times)',
    )
    parser.add_argument(
        '--workers',
        type=whole_number(1),
        help='processes; no effect on the files (default: all cores)',
    )
    parser.add_argument(
        '--force', action='store_true', help='convert even what is up to date, and replace files'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    out_dir = args.out_dir or args.root / 'annotations'
    for split in args.splits:
        find_folders(args.root, split)  # before the first split takes its time
    options = dict(with_segmentation=args.with_segmentation, workers=args.workers, force=args.force)
    for split in args.splits:
        out_file = out_dir / f'{split}.json'
        try:
            print(convert(args.root, split, out_file, **options))
        except KeyboardInterrupt:
            print(f'interrupted; {out_file} was not written', file=sys.stderr)
            sys.exit(130)


if __name__ == '__main__':
    run_tool(main)
