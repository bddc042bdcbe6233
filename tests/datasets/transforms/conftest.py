"""Photos and pipelines for the tests of fast loading."""

from __future__ import annotations

import copy

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose

BOXES = [[3.0, 4.0, 20.5, 30.0], [0.0, 0.0, 15.0, 9.0]]


def draw(width: int, height: int, *, seed: int = 0, detail: float = 6) -> np.ndarray:
    """A picture (height, width, 3) with smooth shapes of `detail` px and some noise."""
    rng = np.random.default_rng(seed)
    coarse = [max(2, round(side / detail)) for side in (height, width)]
    image = cv2.resize(
        rng.integers(0, 256, (*coarse, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC
    )
    noise = rng.normal(0, 3, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def pipeline(*scales, keep_ratio=True, backend='cv2', load=None, **resize) -> list[dict]:
    """A stock training pipeline."""
    return [
        dict(type='LoadImageFromFile', **(load or {})),
        dict(type='LoadAnnotations', with_bbox=True),
        dict(
            type='RandomChoiceResize',
            scales=list(scales),
            keep_ratio=keep_ratio,
            backend=backend,
            **resize,
        ),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackDetInputs'),
    ]


def run(steps: list[dict], path, *, seed: int = 0) -> dict:
    """What a pipeline makes of an image with two boxes, and the number drawn next."""
    np.random.seed(seed)
    instances = [dict(bbox=list(box), bbox_label=n, ignore_flag=n) for n, box in enumerate(BOXES)]
    packed = Compose(copy.deepcopy(steps))(dict(img_path=str(path), img_id=7, instances=instances))
    return {**packed, 'next': np.random.random()}


def fast(steps: list[dict], **settings) -> list[dict]:
    return [dict(type='FastLoading', transforms=steps, **settings)]


def assert_same_but_pixels(stock: dict, other: dict) -> None:
    """Boxes, labels, shapes, factors, flips and the state of the generator are the same."""
    assert list(stock) == list(other) and stock['next'] == other['next']
    assert stock['inputs'].shape == other['inputs'].shape
    assert stock['inputs'].dtype == other['inputs'].dtype
    assert other['inputs'].is_contiguous()
    left, right = stock['data_samples'], other['data_samples']
    assert left.metainfo == right.metainfo
    for part in ('gt_instances', 'ignored_instances'):
        one, two = getattr(left, part), getattr(right, part)
        assert torch.equal(one.bboxes.tensor, two.bboxes.tensor) and len(one.bboxes) == 1
        assert torch.equal(one.labels, two.labels)


def psnr(one: torch.Tensor, two: torch.Tensor) -> float:
    error = (one.double() - two.double()).square().mean().item()
    return 10 * np.log10(255**2 / error) if error else float('inf')


@pytest.fixture
def photo(tmp_path):
    """Write a picture as a JPEG of quality 90, or as another format; gives the path."""

    def write(image: np.ndarray, name: str = 'photo.jpg', *options: int):
        path = tmp_path / name
        options = list(options or (cv2.IMWRITE_JPEG_QUALITY, 90))
        path.write_bytes(cv2.imencode(path.suffix, image, options)[1].tobytes())
        return path

    return write
