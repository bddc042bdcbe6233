"""Add classes to a trained detector, whose old classes stay as they are:

python tools/add_class.py --ckpt A.pth --add "kimono:one-piece dress" --out B.pth
python tools/add_class.py --ckpt A.pth --taxonomy wardrobe.yaml --shots shots.json --counts train.json \\
    --out B.pth

Writes B.pth and B.yaml, the taxonomy to train on with. docs/adding_classes.md has the training.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

try:
    from mmdet_multigrain import launch
    from mmdet_multigrain.coco.annotations import AnnotationFile
    from mmdet_multigrain.taxonomy import Taxonomy
    from mmdet_multigrain.utils.errors import ConfigError, error_source
    from mmdet_multigrain.utils.files import write_whole
except ImportError as error:
    raise SystemExit(f'error: {error}; fix: bash tools/setup.sh; . .venv/bin/activate') from None


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Add classes to a trained detector')
    parser.add_argument('--ckpt', required=True, metavar='A.pth', help='the trained detector')
    parser.add_argument('--out', type=Path, required=True, metavar='B.pth', help='what to write')
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        '--add',
        action='append',
        metavar='NAME[:GROUP]',
        help='a new class and its group, of any level; may be repeated',
    )
    which.add_argument(
        '--taxonomy',
        metavar='FILE',
        help='taxonomy with the old classes in their groups, and new ones; also with new groups',
    )
    parser.add_argument(
        '--init',
        choices=('siblings', 'imprint', 'random'),
        default='siblings',
        help="new rows of classifiers: the siblings' mean; with their norm, the mean feature of "
        'the shots (needs --shots, --images and --config); or random (default: %(default)s)',
    )
    parser.add_argument('--shots', type=Path, help='COCO file with boxes of the new classes')
    parser.add_argument('--images', type=Path, metavar='DIR', help='folder of its photos')
    parser.add_argument(
        '--counts',
        type=Path,
        metavar='TRAIN.json',
        help='COCO file that the detector was trained on; with it and --shots, the biases follow '
        'the numbers of boxes',
    )
    parser.add_argument('--config', help='config of the detector, for --init imprint')
    parser.add_argument('--seed', type=launch.whole_number(0), default=0, help='of random rows')
    launch.add_force(parser)
    launch.add_trust_checkpoint(parser)
    args = parser.parse_args()
    if args.init == 'imprint' and None in (args.shots, args.images, args.config):
        parser.error('--init imprint needs --shots, --images and --config')
    if args.counts is not None and args.shots is None:
        parser.error('--counts needs --shots, the boxes of the new classes')
    if not args.out.suffix == '.pth':
        parser.error(f'--out {args.out}: must end with .pth')
    return args


def grow(old: Taxonomy, args: argparse.Namespace) -> Taxonomy:
    """The taxonomy with the new classes."""
    from mmdet_multigrain.engine.checkpoint.added_classes import in_old_order, with_classes

    if args.taxonomy is not None:
        new = Taxonomy.load(args.taxonomy)
        with error_source(args.taxonomy):
            grown = in_old_order(old, new)
        if grown.num_classes == old.num_classes:
            raise ConfigError(f'{args.taxonomy}: has no class that {args.ckpt} lacks')
        return grown
    added: dict[str, str | None] = {}
    for text in args.add:
        name, _, group = (part.strip() for part in text.partition(':'))
        if name in added:
            raise ConfigError(f'--add {text}: {name!r} is added twice')
        added[name] = group or None
    with error_source(args.ckpt):
        return with_classes(old, added)


def main() -> None:
    args = parse_args()
    launch.check_checkpoint(args.ckpt)
    files = [args.out, args.out.with_suffix('.yaml')]
    read = args.ckpt, args.taxonomy, args.shots, args.counts
    launch.check_outputs(files, inputs=read, replace=args.force)
    for path in filter(None, (args.shots, args.counts)):
        launch.check_file(path, 'COCO file')

    with launch.quiet_imports():
        import torch

        from mmdet_multigrain.engine.checkpoint.read import read_checkpoint
        from mmdet_multigrain.engine.checkpoint.surgery import add_classes, taxonomy_of
        from mmdet_multigrain.engine.checkpoint.weights_only import trust_checkpoints
        from mmdet_multigrain.engine.fingerprints import file_digest

    provenance = {'base': Path(args.ckpt).name, 'base_sha256': file_digest(args.ckpt)}
    with trust_checkpoints(args.trust_checkpoint):
        checkpoint = read_checkpoint(args.ckpt)
        old = taxonomy_of(checkpoint, args.ckpt)
        grown = grow(old, args)
        new = range(old.num_classes, grown.num_classes)
        counts, features = {}, {}
        if args.shots is not None:
            shots = AnnotationFile(args.shots, taxonomy=grown, allow_missing=True, coarse=True)
            boxes = shots.training_counts()
            counts = {label: boxes[label] for label in new}
            provenance |= {'shots': args.shots.name, 'shots_sha256': file_digest(args.shots)}
            provenance['boxes'] = [*counts.values()]
        if args.counts is not None:
            # It may have the new classes already: their boxes are counted in the shots alone.
            others = dict(allow_missing=True, allow_unknown=True, coarse=True)
            trained = AnnotationFile(args.counts, taxonomy=old, **others)
            counts |= dict(enumerate(trained.training_counts()))
        if args.init == 'imprint':
            with launch.quiet_imports():
                from mmdet_multigrain.apis.box_features import class_features
                from mmdet_multigrain.apis.detector import Detector
            cfg = launch.load_config(args.config, checkpoint=args.ckpt)
            features = class_features(Detector(cfg, args.ckpt), shots, args.images, new)
    rows = dict(init=args.init, counts=counts, features=features, seed=args.seed)
    content, table = add_classes(checkpoint, grown, path=args.ckpt, provenance=provenance, **rows)
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_whole(files[1], grown.to_yaml().encode())
    write_whole(args.out, buffer.getbuffer(), sync=True)
    print(f'{table}\n{old.num_classes} + {len(new)} classes -> {files[0]}, {files[1]}')


if __name__ == '__main__':
    launch.run_tool(main)
