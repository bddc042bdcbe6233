"""Does a faster way of training learn the same? Compares the loss curves of three runs:

python tools/analysis_tools/compare_losses.py PLAIN_SEED0 PLAIN_SEED1 FAST_SEED0

Each is the work folder of a run. FAST has the seed of the first. It passes if its curve is no
farther from the first than the second is, which differs by its seed alone: root mean square of the
difference in loss over the iterations that all three logged. Exit status 1 if it is farther, or
diverged.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path

try:
    from mmdet_multigrain.launch import run_tool
    from mmdet_multigrain.utils.errors import ConfigError
except ImportError as error:
    raise SystemExit(f'error: {error}; fix: bash tools/setup.sh; . .venv/bin/activate') from None


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Compare the loss curves of three runs')
    parser.add_argument('plain', type=Path, help='work folder of a plain run')
    parser.add_argument('other_seed', type=Path, help='the same with another seed')
    parser.add_argument('fast', type=Path, help='the faster way, with the seed of the first')
    parser.add_argument('--until', type=int, metavar='N', help='last iteration to compare')
    return parser.parse_args()


def read_losses(work_dir: Path, until: int | None = None) -> dict[int, float]:
    """Logged training loss by iteration; where a run was resumed, what was logged last.

    Raises:
        ConfigError: The folder holds no logged loss, or a line is not JSON of a log.
    """
    losses: dict[int, float] = {}
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            where = f'{path}: line {number}'
            try:
                entry = json.loads(line)
            except ValueError:
                raise ConfigError(f'{where} is not JSON; take that line out') from None
            if not isinstance(entry, dict):
                raise ConfigError(f'{where} is not an object; take that line out')
            if 'loss' not in entry:  # of a validation
                continue
            step, loss = entry.get('step'), entry['loss']
            if not isinstance(step, int) or not isinstance(loss, int | float):
                raise ConfigError(
                    f'{where} has no iteration (step) or no number as its loss; take that line out'
                )
            if until is None or step <= until:
                losses[step] = loss
    if not losses:
        raise ConfigError(f'{work_dir}: no logged losses; name the work folder of a training run')
    return losses


def distance(left: Mapping[int, float], right: Mapping[int, float], steps: set[int]) -> float:
    """Root mean square of the difference of two curves."""
    return math.sqrt(sum((left[step] - right[step]) ** 2 for step in steps) / len(steps))


def main() -> None:
    args = parse_args()
    folders = args.plain, args.other_seed, args.fast
    plain, other, fast = curves = [read_losses(folder, args.until) for folder in folders]
    steps = plain.keys() & other.keys() & fast.keys()
    if len(steps) < 2:
        raise ConfigError(
            f'{args.plain}, {args.other_seed} and {args.fast} logged {len(steps)} iterations in '
            'common; give them the same default_hooks.logger.interval'
        )
    for folder, losses in zip(folders, curves, strict=True):
        step = next((step for step in sorted(steps) if not math.isfinite(losses[step])), None)
        if step is None:
            continue
        diverged = f'{folder}: diverged, its loss is {losses[step]} at iteration {step}'
        if losses is not fast:
            raise ConfigError(f'{diverged}; compare the iterations before (--until) or another run')
        print(diverged)
    spread, change = distance(plain, other, steps), distance(plain, fast, steps)
    alike = change <= spread
    print(
        f'{len(steps)} logged iterations up to {max(steps)}; loss differs by {spread:.4f} between '
        f'seeds, by {change:.4f} between plain and fast (root mean square): '
        f'{"within" if alike else "beyond"} the spread of seeds'
    )
    sys.exit(not alike)


if __name__ == '__main__':
    run_tool(main)
