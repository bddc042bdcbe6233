"""Export a detector: python tools/export.py CONFIG CKPT --to mmdet|onnx --out DIR [--hedge theta.json]

Writes files that load without this package, and compares their detections with the original's.
"""

from __future__ import annotations

import argparse
from pathlib import Path

try:
    from mmdet_multigrain import launch
    from mmdet_multigrain.utils.errors import ConfigError
except ImportError as error:
    raise SystemExit(f'error: {error}; fix: bash tools/setup.sh; . .venv/bin/activate') from None


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Export a trained detector')
    parser.add_argument('--to', choices=('mmdet', 'onnx'), required=True, help='what is to load it')
    parser.add_argument('--out', type=Path, required=True, help='new folder to write')
    parser.add_argument(
        '--images',
        type=Path,
        help='picture, or folder with pictures, to compare detections on (default: made ones)',
    )
    launch.add_hedge(parser)
    launch.add_detector(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.hedge is not None and args.to == 'mmdet':
        raise ConfigError(
            f'--hedge {args.hedge}: stock MMDetection keeps one score of each detection, not those '
            'of other classes, which answers need; export with --to onnx'
        )
    launch.check_checkpoint(args.checkpoint)

    with launch.quiet_imports():
        from mmdet_multigrain.export.compare import made_pictures, read_pictures
        from mmdet_multigrain.export.folder import check_new, whole_folder
        from mmdet_multigrain.export.to_mmdet import export_mmdet
        from mmdet_multigrain.export.to_onnx import check_packages, export_onnx

    check_new(args.out)
    if args.to == 'onnx':
        check_packages()
    pictures = made_pictures() if args.images is None else read_pictures(args.images)
    detector = launch.load_detector(args, device='cpu', answers=args.hedge)
    export = export_mmdet if args.to == 'mmdet' else export_onnx
    with whole_folder(args.out) as folder:
        for line in export(detector.cfg, detector, pictures, folder):
            print(line)
    for path in sorted(args.out.iterdir()):
        print(f'{path.stat().st_size / 1e6:8.2f} MB  {path}')


if __name__ == '__main__':
    launch.run_tool(main)
