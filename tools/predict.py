"""Detect on images: python tools/predict.py IMAGE_OR_FOLDER ... CONFIG CKPT [--out DIR] ...

Writes DIR/predictions.json (class, superclass, score and box of each detection) and a picture of
each image to DIR/pictures. Needs no data set, only the config and the checkpoint. With --hedge, each
detection is answered as specifically as it can be trusted (docs/answers.md). With --annotations, also
DIR/annotations.json, to be corrected in an annotation tool (docs/with_other_tools.md).
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

try:
    from tqdm import tqdm

    from mmdet_multigrain import launch
    from mmdet_multigrain.utils.errors import ConfigError
    from mmdet_multigrain.utils.files import load_json
    from mmdet_multigrain.utils.images import PictureNames
    from mmdet_multigrain.visualization.palette import SCORE_THR
except ImportError as error:
    raise SystemExit(f'error: {error}; fix: bash tools/setup.sh; . .venv/bin/activate') from None


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Detect on images')
    parser.add_argument(
        'images',
        nargs='+',
        metavar='IMAGE_OR_FOLDER',
        help='images, folders with images at any depth, patterns like "photos/*.jpg"',
    )
    parser.add_argument(
        '--out', type=Path, default=Path('predictions'), help='folder to write (predictions)'
    )
    parser.add_argument(
        '--score-thr',
        type=launch.score,
        metavar='S',
        help=f'lowest score ({SCORE_THR}, or what the file of --hedge is for); the config gives none '
        'below its test_cfg.rcnn.score_thr',
    )
    parser.add_argument(
        '--batch-size', type=launch.whole_number(1), default=1, help='images at once (1)'
    )
    parser.add_argument('--device', default='auto', help='like cpu; default: the GPU if any')
    launch.add_level(parser)
    launch.add_hedge(parser)
    parser.add_argument('--no-pictures', action='store_true', help='write no pictures')
    parser.add_argument(
        '--annotations',
        action='store_true',
        help='also write a COCO file of the detections (with --hedge: the answers), to be corrected '
        'in an annotation tool',
    )
    launch.add_detector(parser)
    launch.add_force(parser)
    return parser.parse_intermixed_args()


def earlier(out_file: Path) -> Mapping[str, Any]:
    """The predictions that an earlier call wrote; empty without such a file."""
    try:
        content = load_json(out_file)
    except (OSError, ValueError):
        return {}
    is_ours = isinstance(content, dict) and isinstance(content.get('images'), list)
    return content if is_ours and {'source', 'config', 'checkpoint'} <= content.keys() else {}


def is_same(content: Mapping[str, Any], args: argparse.Namespace) -> bool:
    """Whether an earlier call predicted on the same images with the same checkpoint."""
    source = content['source']
    sources = source if isinstance(source, list) else [source]
    before = [*sources, content['config'], content['checkpoint']]
    now = [*args.images, args.config, args.checkpoint]
    return (
        len(before) == len(now)
        and content.get('level') == args.level
        and content.get('hedge', {}).get('rule') == args.hedge
        and all(launch.same_path(str(old), new) for old, new in zip(before, now, strict=True))
    )


def pictures_of(content: Mapping[str, Any]) -> set[str]:
    """Files below the output folder that the predictions name as their pictures."""
    images = (image for image in content.get('images', ()) if isinstance(image, dict))
    names = {str(image['picture']) for image in images if 'picture' in image}
    return {name for name in names if name.startswith('pictures/') and '..' not in name}


def tell_answers(rule: Any, images: list[dict[str, Any]], score_thr: float) -> None:
    """Print how specific the answers are, and what is promised of them."""
    levels = Counter(found['answer_level'] for image in images for found in image['detections'])
    last = rule.taxonomy.num_levels
    groups = ['group'] if last == 2 else [f'level {n}' for n in reversed(range(last - 1))]
    names = enumerate(['class', *groups, 'object'])
    counts = ', '.join(f'{levels[level]} {name}' for level, name in names)
    theta = 'always object' if rule.theta is None else f'theta {rule.theta:.4g}'
    print(f'answers: {counts}; {theta}')
    for line in filter(None, (rule.reason, rule.promise)):
        print(line)
    if not (rule.promise or rule.reason):
        print('nothing is promised of them: tools/calibrate.py finds a threshold with a guarantee')
    elif rule.score_thr not in (None, score_thr):
        print(
            f'this holds for all detections that score {rule.score_thr:g} or more, not for those shown'
        )


def main() -> None:
    args = parse_args()
    launch.escape_unknown_letters()
    pictures = args.out / 'pictures'
    root, names, left_out = launch.find_images(args.images, leave_out=pictures)
    picture_names = PictureNames()
    picture_of = {name: pictures / picture_names.of(name) for name in names}
    sources = {(root / name).resolve() for name in names}
    if any(picture.resolve() in sources for picture in picture_of.values()):
        raise ConfigError(f'--out {args.out}: pictures would replace the images; name another')
    launch.check_checkpoint(args.checkpoint)
    out_file, annotation_file = args.out / 'predictions.json', args.out / 'annotations.json'
    inputs, before = (args.config, args.checkpoint), earlier(out_file)
    again = bool(before) and is_same(before, args)
    outputs = [out_file] if args.no_pictures else [out_file, *picture_of.values()]
    launch.check_outputs(outputs, inputs=inputs, replace=args.force or again)
    if args.annotations:
        replace = args.force or (again and before.get('annotations') == annotation_file.name)
        launch.check_outputs([annotation_file], inputs=inputs, replace=replace)

    with launch.quiet_imports():
        from mmdet_multigrain.apis import detector as inference
        from mmdet_multigrain.apis import drawing
        from mmdet_multigrain.coco.preannotations import preannotations
        from mmdet_multigrain.engine.runner.stop_request import StopRequest
        from mmdet_multigrain.evaluation.result_file import write_json
        from mmdet_multigrain.visualization.style import missing_letters_line

    detector = launch.load_detector(args, device=args.device, level=args.level, answers=args.hedge)
    rule, score_thr = detector.answers, args.score_thr
    if score_thr is None:
        score_thr = SCORE_THR if rule is None or rule.score_thr is None else rule.score_thr
    images, unreadable, best = [], [], 0.0
    todo = list(names)
    with StopRequest() as stop, tqdm(total=len(names), unit='image') as progress:
        while todo and not stop.signal:
            batch, todo = todo[: args.batch_size], todo[args.batch_size :]
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
                best = max([best, *prediction.scores[:1]])  # maybe there are none
                prediction = prediction.above(score_thr)
                entry = {'file_name': name.as_posix()}
                if not args.no_pictures:
                    entry['picture'] = picture_of[name].relative_to(args.out).as_posix()
                    picture = drawing.draw(prediction, detector.taxonomy)
                    drawing.save_picture(picture, picture_of[name])
                images.append(entry | inference.describe(prediction, detector.taxonomy))
            progress.update(len(batch))
    left_out |= dict.fromkeys((name.as_posix() for name in todo), 'not reached')
    parts = 'theta', 'reason', 'accuracy', 'score_thr', 'promise'
    promised = {key: getattr(rule, key, None) for key in parts}
    if images or not out_file.exists():  # with nothing to tell, what an earlier call wrote stays
        content = {
            'source': args.images if len(args.images) > 1 else args.images[0],
            'config': args.config,
            'checkpoint': args.checkpoint,
            **({} if args.level is None else {'level': args.level}),
            **({} if rule is None else {'hedge': {'rule': args.hedge} | promised}),
            'score_thr': score_thr,
            **({'annotations': annotation_file.name} if args.annotations else {}),
            'images': images,
            'unreadable': unreadable,
            'left_out': left_out,
        }
        write_json(out_file, content)
        if args.annotations:
            write_json(annotation_file, preannotations(images, detector.taxonomy))
        for name in pictures_of(before) - pictures_of(content):
            if (args.out / name).resolve() not in sources:
                (args.out / name).unlink(missing_ok=True)
    count = sum(len(image['detections']) for image in images)
    if images and not count:
        highest = f'the best has {best:.3f} (--score-thr)' if best else 'the detector gives none'
        print(f'no box scores {score_thr:g} or more; {highest}')
    print(f'{len(images)} images, {count} detections -> {out_file}')
    if rule is not None and count:
        tell_answers(rule, images, score_thr)
    if args.annotations and images:
        print(f'annotations -> {annotation_file}')
    if not args.no_pictures:
        print(f'pictures -> {pictures}')
        labels = (*detector.taxonomy.classes, *detector.taxonomy.group_names(0))
        if line := missing_letters_line(labels, what='pictures'):
            print(line)
    if others := Counter(reason for name, reason in left_out.items() if name not in unreadable):
        print('left out: ' + ', '.join(f'{count} {reason}' for reason, count in others.items()))
    if unreadable:
        print(
            f'error: {len(unreadable)} of {len(names)} images could not be read: '
            + ', '.join(unreadable),
            file=sys.stderr,
        )
    if stop.signal:
        print(f'interrupted; {len(todo)} of {len(names)} images not reached', file=sys.stderr)
        sys.exit(128 + stop.signal)
    sys.exit(bool(unreadable))


if __name__ == '__main__':
    launch.run_tool(main)
