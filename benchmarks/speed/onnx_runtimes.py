"""Detectors in ONNX Runtime and OpenVINO, in float32 and INT8:

python -m benchmarks.speed.onnx_runtimes EXPORTED VAL.json --images DIR [--calibrate DIR] [--rounds 5]

AP of `tools/export.py --to onnx` in each runtime on annotated photos, and the time that each takes for
the same few photos, already resized. In every round each takes its turn, in an order drawn again each
round; ratios are taken within rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.common.arguments import count, list_of, make_parser, positive
from benchmarks.common.ratios import in_rounds, milliseconds
from mmdet_multigrain import launch
from mmdet_multigrain.utils.images import is_image

RUNTIMES = ('onnx', 'onnx-int8', 'openvino', 'openvino-int8')
Feed = Mapping[str, np.ndarray]
NUM_CALIBRATION = 64  # photos


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument('exported', type=Path, help='folder with detector.onnx and detector.json')
    parser.add_argument('annotations', type=Path, help='COCO file')
    parser.add_argument('--images', type=Path, required=True, help='folder of its photos')
    parser.add_argument('--calibrate', type=Path, help='folder of other photos, for INT8')
    parser.add_argument(
        '--runtimes',
        type=list_of(RUNTIMES),
        default=('onnx', 'openvino'),
        help='the first is compared with',
    )
    parser.add_argument('--threads', type=positive, default=len(os.sched_getaffinity(0)))
    parser.add_argument('--rounds', type=count, default=5, help='turns of each; 0 times nothing')
    parser.add_argument('--steps', type=positive, default=10, help='photos of one timing')
    return parser.parse_args()


class Detector:
    """What `detector.json` says: how photos are resized, and the names of the labels."""

    def __init__(self, folder: Path) -> None:
        with launch.quiet_imports():
            from mmcv.transforms import Resize
        self.path = folder / 'detector.onnx'
        content = json.loads((folder / 'detector.json').read_bytes())
        self.classes = content['classes']
        self.score_thr = np.array(content['score_thr'], np.float32)
        resize = content['resize']
        self.resize = Resize(
            **{key: tuple(one) if isinstance(one, list) else one for key, one in resize.items()}
        )

    def feed(self, photo: Path) -> Feed:
        """The inputs of the model."""
        sample = self.resize({'img': cv2.imread(str(photo))})
        return {
            'image': sample['img'].transpose(2, 0, 1).astype(np.float32),
            'scale_factor': np.array(sample['scale_factor'], np.float32),
            'score_thr': self.score_thr,
        }


def runtime(
    name: str, detector: Detector, calibration: list[Path], threads: int
) -> Callable[[Feed], list[np.ndarray]]:
    """A function from inputs to boxes, scores and labels."""
    kind, _, precision = name.partition('-')
    if kind == 'onnx':
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        path, providers = detector.path, ['CPUExecutionProvider']
        with tempfile.TemporaryDirectory() as folder:
            if precision:
                path = Path(folder, 'int8.onnx')
                quantize_onnx(detector, calibration, path)
            session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        return lambda feed: session.run(None, dict(feed))[:3]
    import openvino

    core = openvino.Core()
    model = core.read_model(detector.path)
    if precision:
        import nncf

        feeds = [dict(detector.feed(photo)) for photo in calibration]
        model = nncf.quantize(model, nncf.Dataset(feeds), subset_size=len(feeds))
    options = {'INFERENCE_PRECISION_HINT': 'f32', 'INFERENCE_NUM_THREADS': threads}
    compiled = core.compile_model(model, 'CPU', options)
    print(f'{name}: openvino {openvino.__version__}', flush=True)
    return lambda feed: [compiled(dict(feed))[number] for number in range(3)]


def quantize_onnx(detector: Detector, photos: list[Path], path: Path) -> None:
    """Static quantization of the convolutions and matrix products by ONNX Runtime."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.feeds: Iterator[Feed] = map(detector.feed, photos)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(map(dict, self.feeds), None)

    quantize_static(
        str(detector.path),
        str(path),
        Reader(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=['Conv', 'Gemm', 'MatMul'],
        per_channel=True,
    )


def average_precision(detect: Callable, detector: Detector, content: Any, images: Path) -> float:
    """COCO AP in percent."""
    from hotcoco import COCO, COCOeval

    ids = {category['name']: category['id'] for category in content['categories']}
    rows = []
    for image in content['images']:
        boxes, scores, labels = detect(detector.feed(images / image['file_name']))
        for (x1, y1, x2, y2), score, label in zip(
            boxes.tolist(), scores.tolist(), labels.tolist(), strict=True
        ):
            category = ids.get(detector.classes[label])
            if category is not None:
                box = [x1, y1, x2 - x1, y2 - y1]
                rows.append(dict(image_id=image['id'], category_id=category, bbox=box, score=score))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'gt.json')
        path.write_text(json.dumps(content))
        truth = COCO(str(path))
        evaluation = COCOeval(truth, truth.load_res(rows), 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
    precision = np.asarray(evaluation.eval['precision'])[..., 0, -1]  # of any area, at most 100
    return 100 * float(precision[precision > -1].mean())


def main() -> None:
    args = parse_args()
    detector, content = Detector(args.exported), json.loads(args.annotations.read_bytes())
    calibration = sorted(filter(is_image, args.calibrate.iterdir())) if args.calibrate else []
    if calibration:
        used = {Path(image['file_name']).name for image in content['images']}
        calibration = [path for path in calibration if path.name not in used][:NUM_CALIBRATION]
    detectors = {name: runtime(name, detector, calibration, args.threads) for name in args.runtimes}
    reference = args.runtimes[0]
    scores = {}
    for name, detect in detectors.items():
        scores[name] = average_precision(detect, detector, content, args.images)
        difference = scores[name] - scores[reference]
        print(f'{name:14} AP {scores[name]:.3f}, {difference:+.3f}', flush=True)
    names = [image['file_name'] for image in content['images']][: args.steps]
    feeds = [detector.feed(args.images / name) for name in names]

    def turn(name: str, _: int) -> float:
        start = time.perf_counter()
        for feed in feeds:
            detectors[name](feed)
        return (time.perf_counter() - start) / len(feeds)

    seconds = in_rounds(turn, detectors, repeats=args.rounds, warmup=1, title='timing')
    for name, own in seconds.items() if args.rounds else ():
        print(
            f'{name:14} {milliseconds(own, seconds[reference], reference)}; {args.threads} threads, '
            f'load {os.getloadavg()[0]:.1f}'
        )


if __name__ == '__main__':
    launch.run_tool(main)
