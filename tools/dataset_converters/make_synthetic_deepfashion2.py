"""Draw a synthetic DeepFashion2 in the release's raw layout:

python tools/dataset_converters/make_synthetic_deepfashion2.py OUT --difficulty easy --seed 0

The same arguments give the same bytes; an interrupted call is completed by repeating it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

try:
    from mmdet_multigrain.converters import synthetic_deepfashion2 as synthetic
    from mmdet_multigrain.launch import run_tool
except ImportError as error:
    raise SystemExit(f'error: {error}; fix: bash tools/setup.sh; . .venv/bin/activate') from None


def image_size(text: str) -> tuple[int, int]:
    """'128x160' -> (128, 160); '160' -> (128, 160): upright, 4 to 5."""
    try:
        width, _, height = text.partition('x')
        return (int(width), int(height)) if height else (round(int(text) * 0.8), int(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r} is neither HEIGHT nor WIDTHxHEIGHT') from None


def parse_args() -> argparse.Namespace:
    defaults = synthetic.SyntheticSpec()
    parser = argparse.ArgumentParser(description='Draw a synthetic DeepFashion2')
    parser.add_argument('out', type=Path, help='folder to write')
    parser.add_argument('--num-train', type=int, default=defaults.num_train)
    parser.add_argument('--num-val', type=int, default=defaults.num_val)
    parser.add_argument(
        '--image-size',
        type=image_size,
        metavar='HEIGHT|WIDTHxHEIGHT',
        default=(defaults.width, defaults.height),
        help='default: 96x120',
    )
    parser.add_argument(
        '--difficulty', choices=list(synthetic.DIFFICULTIES), default=defaults.difficulty
    )
    parser.add_argument('--seed', type=int, default=defaults.seed)
    parser.add_argument('--workers', type=int, default=1, help='processes; no effect on the set')
    parser.add_argument(
        '--overwrite', action='store_true', help='replace a set that this tool wrote to OUT before'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    width, height = args.image_size
    numbers = dict(num_train=args.num_train, num_val=args.num_val, seed=args.seed)
    spec = synthetic.SyntheticSpec(
        width=width, height=height, difficulty=args.difficulty, **numbers
    )
    try:
        options = dict(overwrite=args.overwrite, workers=args.workers)
        written = synthetic.generate(args.out, spec, **options)
    except KeyboardInterrupt:
        print('interrupted; the same command continues from here', file=sys.stderr)
        sys.exit(130)
    total = sum(spec.counts().values())
    done = f'{written} of {total} pictures written'
    if not written:
        done = f'complete already, {total} pictures'
    print(f'{args.out}: {done}')


if __name__ == '__main__':
    run_tool(main)
