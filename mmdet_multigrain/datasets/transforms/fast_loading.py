"""A stock training pipeline, faster: what a config says once is enough.

`configs/_base_/speed/fast_loading.py` is the switch, docs/benchmarks.md says what it brings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mmcv.transforms import BaseTransform, RandomChoiceResize
from mmdet.datasets.transforms import PackDetInputs, Resize
from mmdet.registry import TRANSFORMS
from mmengine.dataset import Compose

from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.nested import dicts

from .load_resized import LoadResized
from .packing import PlanarPackDetInputs


@TRANSFORMS.register_module()
class FastLoading(BaseTransform):
    """Stock transforms in order; those for which there is a faster way take it.

    Boxes, labels, shapes and all else are equal to the bit; images too without `reduced_decode`.

    Args:
        transforms: A pipeline, as configs give it to a data set.
        reduced_decode: Decode JPEGs that are much larger than their target at a reduced scale.
            Images then differ from stock by less than its resize back-ends differ from each
            other. Defaults to True.
    """

    def __init__(self, transforms: Sequence[dict | Callable], reduced_decode: bool = True) -> None:
        steps = [
            PlanarPackDetInputs(meta_keys=step.meta_keys) if type(step) is PackDetInputs else step
            for step in Compose(transforms).transforms
        ]
        self.compose = Compose(_load_resized(steps) if reduced_decode else steps)

    def transform(self, results: dict) -> dict | None:
        """Load one sample; None where a stock transform gives it up."""
        return self.compose(results)

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.compose!r})'


def _load_resized(steps: list[Callable]) -> list[Callable]:
    """The steps up to the first resizing as one, if it is known what they do."""
    resizes = (n for n, step in enumerate(steps) if isinstance(step, Resize | RandomChoiceResize))
    if (end := next(resizes, None)) is None:
        return steps
    parts = steps[0], steps[1:end], steps[end]
    return [LoadResized(*parts), *steps[end + 1 :]] if LoadResized.fits(*parts) else steps


def use_fast_loading(cfg: Any) -> None:
    """Put `fast_loading` (True, or arguments of FastLoading) of a config into its training data.

    Raises:
        ConfigError: No training pipeline begins with LoadImageFromFile.
    """
    settings = cfg.pop('fast_loading', False)
    if settings is False or settings is None:
        return
    settings = {} if settings is True else dict(settings)
    loader, found = cfg.get('train_dataloader') or {}, False
    for dataset in [*dicts(loader)]:
        steps = dataset.get('pipeline')
        if isinstance(steps, list) and steps and steps[0].get('type') == 'LoadImageFromFile':
            dataset['pipeline'] = [dict(type='FastLoading', transforms=steps, **settings)]
            found = True
    if not found:
        raise ConfigError(
            'fast_loading: no pipeline of train_dataloader begins with LoadImageFromFile; '
            'leave fast_loading out'
        )
    loader.setdefault('collate_fn', dict(type='collate_by_value'))
