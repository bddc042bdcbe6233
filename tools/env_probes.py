"""The probes of tools/check_env.py: each imports one piece, and runs it where that matters.

    python env_probes.py PIECE...      prints one line of JSON per piece

A separate process, so that a library that crashes or prints takes nothing else along. Only
what is seen belongs here; what it means is said in check_env.py.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

PACKAGE = 'mmdet_multigrain'
# One name of each registry that the configs need.
REGISTERED = {
    'MODELS': 'MultiGrainedBBoxHead',
    'DATASETS': 'SuperclassCocoDataset',
    'METRICS': 'MultiGrainedCocoMetric',
    'HOOKS': 'PreflightHook',
}


def version(*modules: str) -> dict[str, Any]:
    """Import modules; the version of the package that holds the first."""
    for module in modules:
        importlib.import_module(module)
    return {'version': getattr(sys.modules[modules[0].partition('.')[0]], '__version__', '')}


def torch() -> dict[str, Any]:
    import torch

    return {**version('torch'), 'cuda': torch.version.cuda, 'gpu': torch.cuda.is_available()}


def mmcv_operators() -> dict[str, Any]:
    import mmcv._ext  # noqa: F401
    import torch
    from mmcv.ops import get_compiling_cuda_version, roi_align

    run_nms('cpu')
    mean = roi_align(torch.ones(1, 1, 8, 8), torch.tensor([[0.0, 0, 0, 4, 4]]), (2, 2)).mean()
    if abs(mean.item() - 1) > 1e-6:
        raise RuntimeError(f'roi_align of ones gave {mean.item()}')
    return {'cuda': get_compiling_cuda_version()}


def cuda_operators() -> dict[str, Any]:
    import torch

    if torch.cuda.is_available():
        run_nms('cuda')
    return {}


def run_nms(device: str) -> None:
    import torch
    from mmcv.ops import nms

    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]], device=device)
    scores = torch.tensor([0.9, 0.8, 0.7], device=device)
    kept = nms(boxes, scores, iou_threshold=0.5)[1].tolist()
    if kept != [0, 2]:
        raise RuntimeError(f'nms kept boxes {kept} instead of [0, 2]')


def cv2() -> dict[str, Any]:
    import cv2
    import numpy

    cv2.resize(numpy.zeros((4, 4, 3), numpy.uint8), (2, 2))
    return version('cv2')


def pycocotools() -> dict[str, Any]:
    import numpy
    import pycocotools.mask

    box = numpy.array([[0.0, 0, 2, 2]])
    pycocotools.mask.iou(box, box, [0])
    return {}


def mmdet_multigrain() -> dict[str, Any]:
    parts = [f'{PACKAGE}.{part}' for part in ('models', 'datasets', 'evaluation', 'engine')]
    found = version(PACKAGE, *parts)
    registries = importlib.import_module('mmdet.registry')
    for registry, name in REGISTERED.items():
        if getattr(registries, registry).get(name) is None:
            raise RuntimeError(f'{name} is not in the registry {registry}')
    return {**found, 'place': str(Path(sys.modules[PACKAGE].__file__).resolve().parent.parent)}


PROBES = {
    'torch': torch,
    'mmengine': lambda: version('mmengine.runner'),
    'mmcv': lambda: version('mmcv'),
    'mmcv operators': mmcv_operators,
    'CUDA operators': cuda_operators,
    'mmdet': lambda: version('mmdet.datasets', 'mmdet.evaluation', 'mmdet.models'),
    'cv2': cv2,
    'pycocotools': pycocotools,
    'hotcoco': lambda: version('hotcoco'),
    PACKAGE: mmdet_multigrain,
}


def main() -> None:
    answers = os.fdopen(os.dup(1), 'w', encoding='utf-8')
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    # This folder holds commands (test.py, ...), which nothing may import by chance.
    sys.path[:] = [path for path in sys.path if Path(path).resolve() != Path(__file__).parent]
    for piece in sys.argv[1:]:
        try:
            answer = PROBES[piece]()
        except (Exception, SystemExit) as error:
            first_line = (str(error).strip().splitlines() or [''])[0]
            message = re.sub(r'\S*/site-packages/', '', f'{type(error).__name__}: {first_line}')
            answer = {'error': message.rstrip(': ')}
            if isinstance(error, ModuleNotFoundError):
                answer['lacks'] = error.name
        print(json.dumps(answer), file=answers, flush=True)
    # Past the interpreter's shut-down: what crashes there has already answered.
    os._exit(0)


if __name__ == '__main__':
    main()
