"""What added classes cost the old ones: AP before and after, detections that they took over:

python tools/analysis_tools/compare_added.py BEFORE AFTER

Each is a work folder of a test, or its result.json; AFTER has the classes of BEFORE and more
(tools/add_class.py).
"""

from __future__ import annotations

import argparse
from pathlib import Path

try:
    from mmdet_multigrain import launch
    from mmdet_multigrain.utils.files import write_whole
except ImportError as error:
    raise SystemExit(f'error: {error}; fix: bash tools/setup.sh; . .venv/bin/activate') from None


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='What added classes cost the old ones')
    parser.add_argument('before', help='test without the new classes')
    parser.add_argument('after', help='test with them, on the same photos')
    parser.add_argument(
        '--score-thr',
        type=launch.score,
        default=0.3,
        help='lowest score of old detections that may be taken over (default: %(default)s)',
    )
    parser.add_argument('--out', type=Path, metavar='TABLE.csv', help='write the table, too')
    launch.add_force(parser)
    return parser.parse_args()


def training_of(checkpoint: str | None, new: tuple[str, ...]) -> str:
    """Boxes and seconds that the training of the new classes took, from its checkpoint."""
    if checkpoint is None or not Path(checkpoint).is_file():
        return ''
    with launch.quiet_imports():
        from mmdet_multigrain.engine.checkpoint.added_classes import added_by
        from mmdet_multigrain.engine.checkpoint.read import read_checkpoint

    parts = []
    for added in added_by(read_checkpoint(checkpoint)):
        if {*added['classes']} <= {*new}:
            boxes, seconds = added.get('boxes'), added.get('seconds')
            count = 'boxes unknown' if boxes is None else f'{sum(boxes)} boxes'
            trained = 'not trained' if seconds is None else f'trained for {seconds:.0f} s'
            parts.append(f'{", ".join(added["classes"])}: {count}, {trained}')
    return '\n'.join(parts)


def main() -> None:
    args = parse_args()
    if args.out:
        launch.check_outputs([args.out], replace=args.force)
    with launch.quiet_imports():  # the evaluation loads mmdet, where it is installed
        from mmdet_multigrain.report.added_classes import added_table
        from mmdet_multigrain.report.runs.load import load_runs

    (before,), (after,) = load_runs([args.before]), load_runs([args.after])
    table, new = added_table(before, after, score_thr=args.score_thr)
    if args.out:
        write_whole(args.out, table.csv().encode())
    print(table.text())
    if line := training_of(after.result.run.checkpoint, new):
        print(line)


if __name__ == '__main__':
    launch.run_tool(main)
