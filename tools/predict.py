"""Detect on images: python tools/predict.py IMAGE_OR_FOLDER CONFIG CKPT [--out DIR] ...

Writes DIR/predictions.json (class, superclass, score and box of each detection) and a picture of
each image to DIR/pictures. Needs no data set, only the config and the checkpoint.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tqdm import tqdm

from mmdet_multigrain import launch
from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.images import READABLE_SUFFIXES
from mmdet_multigrain.utils.parallel import chunked


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Detect on images')
    parser.add_argument('images', type=Path, help='image, or folder with images at any depth')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out', type=Path, default=Path('predictions'), help='folder to write (predictions)'
    )
    parser.add_argument(
        '--score-thr',
        type=float,
        default=0.3,
        help='lowest score (0.3); the config gives none below its test_cfg.rcnn.score_thr',
    )
    parser.add_argument(
        '--batch-size', type=launch.whole_number(1), default=1, help='images at once (1)'
    )
    parser.add_argument('--device', default='auto', help='like cpu; default: the GPU if any')
    parser.add_argument('--no-pictures', action='store_true', help='write the JSON file only')
    launch.add_cfg_options(parser)
    launch.add_trust_checkpoint(parser)
    return parser.parse_args()


def find_images(source: Path, *, leave_out: Path) -> tuple[Path, list[Path]]:
    """The folder that names are relative to, and the images in the order of their names.

    Args:
        source: An image, or a folder; hidden files are left out.
        leave_out: A folder below it that is not searched: what an earlier call has written.
    """
    if not source.is_dir():
        return source.parent, [launch.check_file(source, 'image or folder')]
    found = []
    for folder, subfolders, names in os.walk(source):
        subfolders[:] = [
            name
            for name in subfolders
            if not name.startswith('.') and Path(folder, name).resolve() != leave_out.resolve()
        ]
        found += [
            Path(folder, name)
            for name in names
            if name.lower().endswith(READABLE_SUFFIXES) and not name.startswith('.')
        ]
    if not found:
        raise ConfigError(f'{source}: no image in this folder ({", ".join(READABLE_SUFFIXES)})')
    return source, sorted(found)


def picture_of(name: Path, folder: Path) -> Path:
    """Where the picture of an image goes: same name, as PNG where we do not write its format."""
    known = name.suffix.lower() in READABLE_SUFFIXES
    return folder / (name if known else name.with_name(f'{name.name}.png'))


def main() -> None:
    args = parse_args()
    pictures = args.out / 'pictures'
    root, paths = find_images(args.images, leave_out=pictures)
    names = [path.relative_to(root) for path in paths]
    if any(picture_of(name, pictures).resolve() == (root / name).resolve() for name in names):
        raise ConfigError(f'--out {args.out}: pictures would replace the images; name another')
    launch.check_checkpoint(args.checkpoint)

    with launch.quiet_imports():
        from mmdet_multigrain.apis import detector as inference
        from mmdet_multigrain.engine.checkpoint.weights_only import trust_checkpoints
        from mmdet_multigrain.evaluation.result_file import write_json

    with trust_checkpoints(args.trust_checkpoint):
        cfg = launch.load_config(args.config, args.cfg_options, checkpoint=args.checkpoint)
        detector = inference.Detector(
            cfg, args.checkpoint, device=None if args.device == 'auto' else args.device
        )
    images, unreadable = [], []
    with tqdm(total=len(names), unit='image') as progress:
        for batch in chunked(names, args.batch_size):
            samples = {}
            for name in batch:
                try:
                    samples[name] = detector.read(root / name)
                except inference.ImageError as error:
                    progress.write(f'{error}; left out', file=sys.stderr)
                    unreadable.append(name.as_posix())
            found = detector.predict([*samples.values()]) if samples else []
            for name, prediction in zip(samples, found, strict=True):
                prediction = prediction.above(args.score_thr)
                images.append(
                    {
                        'file_name': name.as_posix(),
                        **inference.describe(prediction, detector.taxonomy),
                    }
                )
                if not args.no_pictures:
                    picture = inference.draw(prediction, detector.taxonomy)
                    inference.save_picture(picture, picture_of(name, pictures))
            progress.update(len(batch))
    out_file = args.out / 'predictions.json'
    write_json(
        out_file,
        {
            'source': str(args.images),
            'config': args.config,
            'checkpoint': args.checkpoint,
            'score_thr': args.score_thr,
            'images': images,
            'unreadable': unreadable,
        },
    )
    count = sum(len(image['detections']) for image in images)
    print(f'{len(images)} images, {count} detections -> {out_file}')
    if not args.no_pictures:
        print(f'pictures -> {pictures}')
    if unreadable:
        print(
            f'error: {len(unreadable)} of {len(names)} images could not be read: '
            + ', '.join(unreadable),
            file=sys.stderr,
        )
        sys.exit(1)


if __name__ == '__main__':
    launch.run_tool(main)
