"""Inference of a detector before and after export, and of a stock one with its weights:

python -m benchmarks.speed.exported_detectors CONFIG STOCK_CONFIG [--scale 1333x800] [--rounds 5]

Weights are drawn from a seed: time hardly depends on them. In every round each detector sees the
same picture, in an order drawn again each round; ratios are taken within rounds.
"""

from __future__ import annotations

import argparse
import copy
import functools
import logging
import tempfile
import timeit
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.common.arguments import make_parser, positive, size
from benchmarks.common.ratios import in_rounds, milliseconds
from mmdet_multigrain import launch


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument('config', help='the detector to export')
    parser.add_argument('stock', help='a stock config of the size that is left after export')
    parser.add_argument(
        '--scale', type=size, default=(1333, 800), metavar='WxH', help='of a picture'
    )
    parser.add_argument('--rounds', type=positive, default=5, help='turns of each')
    parser.add_argument('--steps', type=positive, default=1, help='pictures of one timing')
    parser.add_argument('--onnx', action='store_true', help='also time the ONNX file')
    return parser.parse_args()


def detectors(config: str, stock: str, picture: np.ndarray, *, onnx: bool) -> dict[str, Callable]:
    """By name, a function that detects in the picture once."""
    with launch.quiet_imports():
        import torch
        from mmdet.registry import MODELS
        from mmdet.structures import DetDataSample
        from mmengine.config import ConfigDict
        from mmengine.registry import init_default_scope

        from mmdet_multigrain.export.stock_model import stock_model
    init_default_scope('mmdet')
    logging.disable(logging.INFO)  # mmengine names every layer that it initializes
    torch.manual_seed(0)
    own_cfg = launch.load_config(config).model
    own = MODELS.build(copy.deepcopy(own_cfg))
    own.init_weights()
    exported_cfg, tensors = stock_model(own_cfg.to_dict(), own.eval())
    models = {
        'stock': MODELS.build(launch.load_config(stock).model),
        'exported': MODELS.build(ConfigDict(exported_cfg)),
    }
    for model in models.values():
        model.load_state_dict(tensors)
    models['original'] = own
    image = torch.from_numpy(picture.transpose(2, 0, 1).copy())
    shape = picture.shape[:2]

    @torch.no_grad()
    def run(model: torch.nn.Module) -> None:
        meta = dict(img_shape=shape, ori_shape=shape, scale_factor=(1.0, 1.0), img_id=0)
        model.test_step(dict(inputs=[image], data_samples=[DetDataSample(metainfo=meta)]))

    for name, model in models.items():
        millions = sum(value.numel() for value in model.eval().parameters()) / 1e6
        print(f'{name}: {millions:.2f} M parameters')
    steps = {name: functools.partial(run, model) for name, model in models.items()}
    return steps | ({'onnx': _onnx_step(own, image)} if onnx else {})


def _onnx_step(detector: object, image: object) -> Callable:
    from mmdet_multigrain.export.plain import PlainDetector
    from mmdet_multigrain.export.to_onnx import onnx_bytes, open_session

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'detector.onnx')
        path.write_bytes(onnx_bytes(PlainDetector(detector)))
        session = open_session(path)
    threshold = np.array(detector.roi_head.test_cfg.score_thr, np.float32)
    feed = dict(image=image.float().numpy(), scale_factor=np.ones(2, np.float32))
    return lambda: session.run(None, feed | {'score_thr': threshold})


def main() -> None:
    args = parse_args()
    width, height = args.scale
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    steps = detectors(args.config, args.stock, picture, onnx=args.onnx)

    def turn(name: str, _: int) -> float:
        return timeit.timeit(steps[name], number=args.steps) / args.steps

    seconds = in_rounds(turn, steps, repeats=args.rounds, warmup=1, title='timing')
    for name, own in seconds.items():
        print(f'{name:9} {milliseconds(own, seconds["stock"], "stock")}')


if __name__ == '__main__':
    launch.run_tool(main)
