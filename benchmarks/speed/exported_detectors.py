"""Time of inference of a detector before and after export, and of a stock one with its weights:

python -m benchmarks.speed.exported_detectors CONFIG STOCK_CONFIG [--scale 1333x800] [--rounds 5]

Weights are drawn from a seed: what is timed does not depend on them, but for the last suppression
among few boxes. In every round each detector sees the same picture, every second round in the
opposite order; ratios are taken within rounds.
"""

from __future__ import annotations

import argparse
import copy
import functools
import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mmdet_multigrain import launch


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Time inference before and after export')
    parser.add_argument('config', help='the detector to export')
    parser.add_argument('stock', help='a stock config of the size that is left after export')
    parser.add_argument('--scale', default='1333x800', metavar='WxH', help='size of the picture')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--steps', type=int, default=1, help='pictures of one timing')
    parser.add_argument('--onnx', action='store_true', help='time the ONNX file, too')
    return parser.parse_args()


def detectors(config: str, stock: str, picture: np.ndarray, *, onnx: bool) -> dict[str, Callable]:
    """By name, what detects in the picture once."""
    with launch.quiet_imports():
        import torch
        from mmdet.registry import MODELS
        from mmdet.structures import DetDataSample
        from mmengine.config import ConfigDict
        from mmengine.registry import init_default_scope

        from mmdet_multigrain.export.plain import PlainDetector
        from mmdet_multigrain.export.stock_model import stock_model
        from mmdet_multigrain.export.to_onnx import onnx_bytes, open_session
    init_default_scope('mmdet')
    logging.disable(logging.INFO)  # mmengine names every layer that it initializes
    torch.manual_seed(0)
    ours_cfg = launch.load_config(config).model
    ours = MODELS.build(copy.deepcopy(ours_cfg))
    ours.init_weights()
    exported_cfg, tensors = stock_model(ours_cfg.to_dict(), ours.eval())
    models = {
        'stock': MODELS.build(launch.load_config(stock).model),
        'exported': MODELS.build(ConfigDict(exported_cfg)),
    }
    for model in models.values():
        model.load_state_dict(tensors)
    models['original'] = ours
    image = torch.from_numpy(picture.transpose(2, 0, 1).copy())
    size = picture.shape[:2]

    def run(model: torch.nn.Module) -> None:
        sample = DetDataSample(
            metainfo=dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0), img_id=0)
        )
        with torch.no_grad():
            model.test_step(dict(inputs=[image], data_samples=[sample]))

    for name, model in models.items():
        size_in_millions = sum(value.numel() for value in model.eval().parameters()) / 1e6
        print(f'{name}: {size_in_millions:.2f} M parameters')
    steps = {name: functools.partial(run, model) for name, model in models.items()}
    if onnx:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, 'detector.onnx')
            path.write_bytes(onnx_bytes(PlainDetector(ours)))
            session = open_session(path)
        feed = dict(
            image=image.float().numpy(),
            scale_factor=np.ones(2, np.float32),
            score_thr=np.array(ours.roi_head.test_cfg.score_thr, np.float32),
        )
        steps['onnx'] = lambda: session.run(None, feed)
    return steps


def main() -> None:
    args = parse_args()
    width, height = map(int, args.scale.split('x'))
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    steps = detectors(args.config, args.stock, picture, onnx=args.onnx)
    for step in steps.values():
        step()
    times = {name: [] for name in steps}
    for number in range(args.rounds):
        for name in list(steps)[:: -1 if number % 2 else 1]:
            start = time.perf_counter()
            for _ in range(args.steps):
                steps[name]()
            times[name].append((time.perf_counter() - start) / args.steps)
    for name, own in times.items():
        ratios = [mine / stock for mine, stock in zip(own, times['stock'], strict=True)]
        print(
            f'{name:9} {1e3 * statistics.median(own):9.1f} ms; to stock: median '
            f'{statistics.median(ratios):.3f}, from {min(ratios):.3f} to {max(ratios):.3f}'
        )


if __name__ == '__main__':
    launch.run_tool(main)
