"""Detect on images: python tools/predict.py IMAGE_OR_FOLDER CONFIG CKPT [--out DIR] ...

Writes DIR/predictions.json (class, superclass, score and box of each detection) and a picture of
each image to DIR/pictures. Needs no data set, only the config and the checkpoint.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from pathlib import Path

from tqdm import tqdm

from mmdet_multigrain import launch
from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.images import PictureNames, is_image
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


def find_images(source: Path, *, leave_out: Path) -> tuple[Path, list[Path], dict[str, str]]:
    """The folder that names are relative to, the images in the order of their names, other files.

    Links to folders are followed, each folder is searched once.

    Args:
        source: An image, or a folder.
        leave_out: A folder below it that is not searched: what an earlier call has written.

    Returns:
        Of files that are not images and of hidden files and folders: why each is left out, by name.
    """
    if not source.is_dir():
        return source.parent, [launch.check_file(source, 'image or folder')], {}
    found, others, searched = [], {}, {leave_out.resolve()} - {source.resolve()}
    for folder, subfolders, names in os.walk(source, followlinks=True):
        place = Path(folder)
        if place.resolve() in searched:
            subfolders.clear()
            continue
        searched.add(place.resolve())
        for name in [*subfolders, *names]:
            if name.startswith('.'):
                others[(place / name).relative_to(source).as_posix()] = 'hidden'
        subfolders[:] = sorted(name for name in subfolders if not name.startswith('.'))
        for path in (place / name for name in names if not name.startswith('.')):
            if is_image(path):
                found.append(path)
            else:
                others[path.relative_to(source).as_posix()] = 'not an image'
    if not found:
        raise ConfigError(f'{source}: no image in this folder that OpenCV reads')
    return source, sorted(found), dict(sorted(others.items()))


def main() -> None:
    args = parse_args()
    pictures = args.out / 'pictures'
    root, paths, left_out = find_images(args.images, leave_out=pictures)
    names = [path.relative_to(root) for path in paths]
    picture_names = PictureNames()
    picture_of = {name: pictures / picture_names.of(name) for name in names}
    if any(picture_of[name].resolve() == (root / name).resolve() for name in names):
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
                    left_out[name.as_posix()] = str(error).removeprefix(f'{root / name}: ')
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
                    inference.save_picture(picture, picture_of[name])
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
            'left_out': left_out,
        },
    )
    count = sum(len(image['detections']) for image in images)
    print(f'{len(images)} images, {count} detections -> {out_file}')
    if not args.no_pictures:
        print(f'pictures -> {pictures}')
    if others := Counter(reason for name, reason in left_out.items() if name not in unreadable):
        print('left out: ' + ', '.join(f'{count} {reason}' for reason, count in others.items()))
    if unreadable:
        print(
            f'error: {len(unreadable)} of {len(names)} images could not be read: '
            + ', '.join(unreadable),
            file=sys.stderr,
        )
        sys.exit(1)


if __name__ == '__main__':
    launch.run_tool(main)
