"""A random part of a photo, scaled to a random size: more photos out of few."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmcv.transforms import RandomResize
from mmdet.datasets.transforms import MinIoURandomCrop
from mmdet.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomCropResize(RandomResize):
    """MMCV's RandomResize, of a part of the photo that MMDetection's MinIoURandomCrop chooses.

    One transform, so that all that concerns the size of photos is one entry of a pipeline. A part
    has at least `min_crop_size` of each side, so objects get up to 1 / `min_crop_size` times larger.

    Args:
        *args: Arguments of RandomResize.
        min_crop_size: From above 0 to 1; 1 takes whole photos. Defaults to 0.5.
        min_ious: Least overlaps of part and boxes, one of which is drawn each time; whole photos
            and any overlap are drawn, too. Defaults to (0.5, 0.7, 0.9).
        **kwargs: Arguments of RandomResize.
    """

    def __init__(
        self,
        *args: Any,
        min_crop_size: float = 0.5,
        min_ious: Sequence[float] = (0.5, 0.7, 0.9),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if not 0 < min_crop_size <= 1:
            raise ValueError(f'min_crop_size={min_crop_size}: must be above 0 and at most 1')
        self.crop = MinIoURandomCrop(min_ious=tuple(min_ious), min_crop_size=min_crop_size)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Crop, then resize."""
        if self.crop.min_crop_size < 1:
            results = self.crop(results)
        return super().transform(results)
