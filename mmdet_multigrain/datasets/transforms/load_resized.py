"""Loading and resizing in one: a photo far larger than its target is decoded at a reduced scale.

A JPEG decoder can leave out the fine half of the frequencies and give the image at 1/2, 1/4 or 1/8
of its size in less time than at its own. What that changes is below what MMDetection's own resize
back-ends differ by; boxes, shapes and scale factors stay the same to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import mmcv
import numpy as np
from mmcv.image.geometric import rescale_size
from mmcv.transforms import BaseTransform, LoadImageFromFile, RandomChoiceResize
from mmdet.datasets.transforms import LoadAnnotations, Resize
from mmengine import fileio

from mmdet_multigrain.utils.images import jpeg_size

# What OpenCV takes to decode at 1/n.
_FLAGS = {
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
# The reduced image is at least so many times its target. Measured on photos, drawings and noise:
# from 1.25 on, what bilinear resizing makes of it is nearer to cv2's stock result than Pillow's.
MARGIN = 4 / 3


def reduction(size: tuple[int, int], target: tuple[int, int]) -> int:
    """The scale to decode at: 1/n of `size` for a `target`, both (width, height)."""
    for denominator in sorted(_FLAGS, reverse=True):
        goals = [MARGIN * denominator * side for side in target]
        if all(side >= goal > 0 for side, goal in zip(size, goals, strict=True)):
            return denominator
    return 1


def decode_reduced(content: bytes, size: tuple[int, int], denominator: int) -> np.ndarray | None:
    """A BGR image of (width, height) `size`, decoded at 1/denominator; None if that fails."""
    image = mmcv.imfrombytes(content, flag=_FLAGS[denominator], backend='cv2')
    width, height = (-(-side // denominator) for side in size)
    return image if image is not None and image.shape[:2] == (height, width) else None


class ReducedResize(Resize):
    """MMDetection's Resize for an image that may have been decoded at a reduced scale.

    Besides `img` it takes `img_reduction` (n for 1/n; leaves it out of its results) and finds the
    size that the image would have in `img_shape`.
    """

    def target(self, size: tuple[int, int]) -> tuple[int, int]:
        """(width, height) of what becomes of an image of that size."""
        return rescale_size(size, self.scale) if self.keep_ratio else self.scale

    def _resize_img(self, results: dict) -> None:
        denominator = results.pop('img_reduction', 1)
        if denominator == 1:
            super()._resize_img(results)
            return
        height, width = results['img_shape']
        new_width, new_height = self.target((width, height))
        w_scale, h_scale = new_width / width, new_height / height
        # By its factors, not its size: the last row and column of the reduced image may stand for
        # fewer pixels than the others, and the size would shift all of the image for them.
        factors = dict(fx=denominator * w_scale, fy=denominator * h_scale)
        image = cv2.resize(results['img'], None, **factors, interpolation=cv2.INTER_LINEAR)
        results['img'] = np.ascontiguousarray(image[:new_height, :new_width])
        results['img_shape'] = (new_height, new_width)
        results['scale_factor'] = (w_scale, h_scale)
        results['keep_ratio'] = self.keep_ratio


class LoadResized(BaseTransform):
    """LoadImageFromFile, what follows it, and the resizing, as stock but for reduced decoding.

    What is not a plain JPEG, or not large enough, goes through the stock transforms, which raise
    OSError, cv2.error or AssertionError. Random scales are drawn as by RandomChoiceResize from the
    same generator in the same order. `between` are transforms that do not look at the image.
    """

    def __init__(
        self,
        load: LoadImageFromFile,
        between: Sequence[BaseTransform],
        resize: Resize | RandomChoiceResize,
    ) -> None:
        self.load, self.between, self.stock_resize = load, list(between), resize
        one = resize.resize if isinstance(resize, RandomChoiceResize) else resize
        names = ('scale', 'keep_ratio', 'clip_object_border', 'backend', 'interpolation')
        self.resize = ReducedResize(**{name: getattr(one, name) for name in names})

    @staticmethod
    def fits(load: object, between: Sequence[object], resize: object) -> bool:
        """Whether the three are stock transforms with settings that it does justice to."""
        one, scales = resize, [getattr(resize, 'scale', None)]
        if type(resize) is RandomChoiceResize:
            one, scales = resize.resize, resize.scales
        return (
            type(load) is LoadImageFromFile
            and (load.color_type, load.imdecode_backend) == ('color', 'cv2')
            and not (load.to_float32 or load.ignore_empty or load.file_client_args)
            and all(type(step) is LoadAnnotations for step in between)
            and type(one) is Resize
            and (one.backend, one.interpolation) == ('cv2', 'bilinear')
            and all(isinstance(scale, tuple) for scale in scales)
        )

    def transform(self, results: dict) -> dict | None:
        """Load, annotate and resize one sample."""
        content = fileio.get(results['img_path'], backend_args=self.load.backend_args)
        index = None
        if isinstance(self.stock_resize, RandomChoiceResize):
            self.resize.scale, index = self.stock_resize._random_select()
        image, size = None, jpeg_size(content)
        denominator = reduction(size, self.resize.target(size)) if size else 1
        if denominator > 1:
            image = decode_reduced(content, size, denominator)
        if image is None:
            image, denominator = mmcv.imfrombytes(content, flag='color', backend='cv2'), 1
            assert image is not None, f'failed to load image: {results["img_path"]}'
            size = image.shape[1::-1]
        results.update(img=image, img_reduction=denominator)
        results['img_shape'] = results['ori_shape'] = size[::-1]
        for step in [*self.between, self.resize]:
            results = step(results)
        if index is not None:
            results['scale_idx'] = index
        return results

    def __repr__(self) -> str:
        steps = [self.load, *self.between, self.stock_resize]
        return f'{type(self).__name__}({", ".join(map(repr, steps))})'
