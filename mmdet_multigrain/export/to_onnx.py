"""An ONNX file of a detector: from a resized image to detections, for any image size."""

from __future__ import annotations

import importlib
import io
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmcv.transforms import Compose
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config

from mmdet_multigrain.apis.detector import Detector
from mmdet_multigrain.models import LineageStandardRoIHead
from mmdet_multigrain.taxonomy.nodes import Nodes
from mmdet_multigrain.utils.errors import ExportError
from mmdet_multigrain.utils.files import write_whole

from .compare import Difference, Found, nearest_difference
from .plain import PlainDetector
from .stock_model import check_added
from .to_mmdet import detect, read_arrays

MODEL, DESCRIPTION, RULE = 'detector.onnx', 'detector.json', 'theta.json'
TOLERANCE = 1e-3  # pixels, and scores
MOST_ALONE = 0.05  # share of detections that ties of scores may change; see nearest_difference
_PACKING = 'LoadAnnotations', 'PackDetInputs', 'PlanarPackDetInputs'  # leave the image as it is
_OPSET = 17  # RoiAlign is aligned from 16 on


def check_packages() -> None:
    """Name the command that installs onnx or onnxruntime, in an ExportError, if one is missing."""
    for name in ('onnx', 'onnxruntime'):
        try:
            importlib.import_module(name)
        except ImportError:
            raise ExportError(
                f'--to onnx needs {name}: pip install -r requirements/export.txt'
            ) from None


def export_onnx(cfg: Config, detector: Detector, pictures: list, folder: Path) -> list[str]:
    """Write `detector.onnx` and `detector.json`, and check that they detect the same.

    With a rule for answers the model also gives `lineage`, `theta.json` has the rule, and
    `detector.json` has the `nodes` of each answer level: names, and the node of each class.

    Arguments and result as of `export_mmdet`.

    Raises:
        ExportError: The model has parts that cannot be exported, or the detections differ.
    """
    check_added(detector.model)
    resize = resize_step(get_test_pipeline_cfg(cfg))
    write_whole(folder / MODEL, onnx_bytes(PlainDetector(detector.model)))
    taxonomy = detector.taxonomy
    description = dict(
        classes=taxonomy.classes,
        superclasses=[taxonomy.superclass_of(label) for label in range(taxonomy.num_classes)],
        resize=resize,
        score_thr=detector.model.roi_head.test_cfg.score_thr,
    )
    if detector.answers is not None:
        nodes = Nodes.of(taxonomy)
        description['nodes'] = [
            dict(names=names, index=index)
            for names, index in zip(nodes.names, nodes.index.tolist(), strict=True)
        ]
        detector.answers.save(folder / RULE)
    write_whole(folder / DESCRIPTION, json.dumps(description, indent=2).encode())
    return [f'checked: {check_onnx(cfg, detector, folder, pictures)}']


def resize_step(pipeline: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Arguments of the Resize in a test pipeline; none if it leaves images at their size.

    Raises:
        ExportError: Another step changes images, too.
    """
    resize = {}
    for step, transform in zip(pipeline[1:], Compose(pipeline[1:]).transforms, strict=True):
        kind = type(transform).__name__
        if kind == 'Resize' and not resize:
            resize = {key: value for key, value in step.items() if key != 'type'}
        elif kind not in _PACKING:
            raise ExportError(
                f'the test pipeline has {kind}, which neither {MODEL} nor {DESCRIPTION} holds; export '
                'with a config whose test pipeline loads, resizes once (Resize) and packs'
            )
    return resize


def onnx_bytes(plain: PlainDetector) -> bytes:
    """The detector as an ONNX model."""
    # No side is a multiple of the padding, so that the trace holds every step.
    image = torch.rand(3, 150, 203) * 255
    outputs = ['boxes', 'scores', 'labels']
    if isinstance(plain.model.roi_head, LineageStandardRoIHead):
        outputs.append('lineage')
    content = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter('ignore')  # of the tracer, on shapes that do not vary
        torch.onnx.export(
            plain.eval(),
            (image, torch.ones(2), torch.tensor(0.0)),
            content,
            **(dict(dynamo=False) if torch.__version__ >= (2, 5) else {}),  # before: the only way
            opset_version=_OPSET,
            input_names=['image', 'scale_factor', 'score_thr'],
            output_names=outputs,
            dynamic_axes={
                'image': {1: 'height', 2: 'width'},
                **{name: {0: 'detections'} for name in outputs},
            },
        )
    return content.getvalue()


def check_onnx(cfg: Config, detector: Detector, folder: Path, pictures: list) -> Difference:
    """Compare the file's detections with those of the detector.

    Raises:
        ExportError: Boxes or scores differ by more than TOLERANCE, or too many detections have no
            counterpart.
    """
    session, theirs = open_session(folder / MODEL), []
    samples = read_arrays(cfg, pictures)
    for sample in samples:
        inputs = dict(
            image=sample['inputs'].float().numpy(),
            scale_factor=np.array(sample['data_samples'].scale_factor, np.float32),
            score_thr=np.array(0, np.float32),
        )
        theirs.append(Found(*session.run(None, inputs)))
    ours = detect(detector.model, samples)
    at_most = detector.model.roi_head.test_cfg.max_per_img
    seen = nearest_difference(ours, theirs, slack=TOLERANCE, at_most=at_most)
    share = seen.alone / max(seen.alone + 2 * seen.detections, 1)
    if max(seen.box, seen.score) > TOLERANCE or share > MOST_ALONE:
        raise ExportError(
            f'the exported detector does not detect the same here: {seen}; if it is hardly '
            'trained yet, its scores may lie too close together to compare'
        )
    return seen


def open_session(path: Path) -> Any:
    """A session of onnxruntime on the CPU, with as many threads as torch has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
