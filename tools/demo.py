"""A page on this machine for a trained detector: python tools/demo.py CONFIG CKPT [--hedge theta.json]

Drop a photo in: boxes appear with class, superclass and answer, for the score and the theta of two
sliders. Only this machine reaches the page, and it needs no network.
"""

from __future__ import annotations

import argparse
from pathlib import Path

try:
    from mmdet_multigrain import launch
    from mmdet_multigrain.visualization.palette import SCORE_THR
except ImportError as error:
    raise SystemExit(f'error: {error}; fix: bash tools/setup.sh; . .venv/bin/activate') from None

THETA = 0.8  # without a rule; see docs/answers.md


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='A local page that shows detections')
    parser.add_argument('--host', default='127.0.0.1', help='address to listen on (127.0.0.1)')
    parser.add_argument(
        '--port', type=launch.whole_number(1, 65535), help='default: a free one from 7860 on'
    )
    parser.add_argument('--device', default='auto', help='like cpu; default: the GPU if any')
    launch.add_hedge(parser)
    launch.add_detector(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    launch.check_checkpoint(args.checkpoint)
    with launch.quiet_imports():
        from mmdet_multigrain.apis import demo_page

    answers = THETA if args.hedge is None else args.hedge
    detector = launch.load_detector(args, device=args.device, answers=answers)
    calibrated = detector.answers.score_thr
    score_thr = SCORE_THR if calibrated is None else calibrated
    title = Path(args.checkpoint).name
    page = demo_page.build_page(detector, title=title, score_thr=score_thr)
    demo_page.launch(page, host=args.host, port=args.port)


if __name__ == '__main__':
    launch.run_tool(main)
