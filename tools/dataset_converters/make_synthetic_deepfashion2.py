"""Draw a synthetic DeepFashion2 in the release's raw layout:

python tools/dataset_converters/make_synthetic_deepfashion2.py OUT --difficulty easy --seed 0

The same arguments give the same bytes; an interrupted call is completed by repeating it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

try:
    from mmdet_multigrain.converters.synthetic_deepfashion2 import (
        DIFFICULTIES,
        SyntheticSpec,
        generate,
    )
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
    defaults = SyntheticSpec()
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
    parser.add_argument('--difficulty', choices=list(DIFFICULTIES), default=defaults.difficulty)
    parser.add_argument('--seed', type=int, default=defaults.seed)
    parser.add_argument('--workers', type=int, default=1, help='processes; no effect on the set')
    parser.add_argument(
        '--overwrite', action='store_true', help='replace a set that this tool wrote to OUT before'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    spec = SyntheticSpec(
        num_train=args.num_train,
        num_val=args.num_val,
        width=args.image_size[0],
        height=args.image_size[1],
        difficulty=args.difficulty,
        seed=args.seed,
    )
    try:
        written = generate(args.out, spec, overwrite=args.overwrite, workers=args.workers)
    except KeyboardInterrupt:
        print('interrupted; the same command continues from here', file=sys.stderr)
        sys.exit(130)
    total = sum(spec.counts().values())
    print(
        f'{args.out}: '
        + (
            f'{written} of {total} pictures written'
            if written
            else f'complete already, {total} pictures'
        )
    )


if __name__ == '__main__':
    run_tool(main)
