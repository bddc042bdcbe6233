"""From a loaded sample to the training process: packed in one copy, small things by value."""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from multiprocessing.reduction import ForkingPickler
from typing import Any

import cv2
import numpy as np
import torch
from mmdet.datasets.transforms import PackDetInputs
from mmdet.registry import TRANSFORMS
from mmengine.dataset import pseudo_collate
from mmengine.registry import FUNCTIONS
from torch.utils.data import get_worker_info

# A larger tensor is sooner shared than copied: sharing costs a file descriptor and a handshake.
MAX_BYTES_BY_VALUE = 1 << 15


@TRANSFORMS.register_module()
class PlanarPackDetInputs(PackDetInputs):
    """MMDetection's PackDetInputs with one copy of the image instead of two or three.

    The planes are written at once to where the training process reads them: in a worker to shared
    memory. Images other than 8-bit with three channels are packed as stock.
    """

    def transform(self, results: dict) -> dict:
        """Pack one sample; `inputs` is the image, (3, H, W)."""
        image = results.get('img')
        if image is None or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            return super().transform(results)
        rest = {key: value for key, value in results.items() if key != 'img'}
        return {'inputs': planar(image), **super().transform(rest)}


def planar(image: np.ndarray) -> torch.Tensor:
    """An 8-bit image (H, W, 3) as a contiguous tensor (3, H, W)."""
    shape = (3, *image.shape[:2])
    if get_worker_info() is None:
        planes = torch.empty(shape, dtype=torch.uint8)
    else:  # as PyTorch's own default_collate
        storage = torch.UntypedStorage._new_shared(image.size)
        planes = torch.empty(0, dtype=torch.uint8).set_(storage, 0, shape)
    cv2.split(_contiguous(image), list(planes.numpy()))
    return planes


def _contiguous(image: np.ndarray) -> np.ndarray:
    """The image itself, or a contiguous copy; MMCV flips by a view, which NumPy copies slowly."""
    for code, view in ((1, image[:, ::-1]), (0, image[::-1]), (-1, image[::-1, ::-1])):
        if view.flags.c_contiguous and not image.flags.c_contiguous:
            return cv2.flip(view, code)
    return np.ascontiguousarray(image)


@FUNCTIONS.register_module()
def collate_by_value(batch: Sequence[dict]) -> Any:
    """MMEngine's pseudo_collate; a worker sends boxes and labels along, not as shared memory.

    A shared tensor costs a file descriptor and a handshake between the processes, which for a few
    boxes takes longer than all else about them.
    """
    collated = pseudo_collate(batch)
    if get_worker_info() is None or not isinstance(collated, dict):
        return collated
    return {
        key: _ByValue(value) if isinstance(value, list) and key != 'inputs' else value
        for key, value in collated.items()
    }


class _ByValue(list):
    """A list that is pickled with its small tensors' contents; a plain list where it arrives."""

    def __reduce__(self) -> tuple:
        stream = io.BytesIO()
        _Pickler(stream, pickle.HIGHEST_PROTOCOL).dump(list(self))
        return pickle.loads, (stream.getvalue(),)


class _Pickler(ForkingPickler):
    """Pickles as DataLoader's queues do, but small tensors as arrays."""

    def reducer_override(self, item: Any) -> Any:
        if (
            type(item) is torch.Tensor
            and item.device.type == 'cpu'
            and item.dtype != torch.bfloat16
            and not item.requires_grad
            and item.numel() * item.element_size() <= MAX_BYTES_BY_VALUE
        ):
            return torch.from_numpy, (item.numpy(),)
        return NotImplemented
