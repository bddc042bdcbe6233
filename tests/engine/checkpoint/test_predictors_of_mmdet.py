"""The predictors found by name are those whose shapes depend on the number of classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import mmdet
import pytest
from mmdet.registry import MODELS
from mmengine.config import Config, ConfigDict
from torch import nn

import mmdet_multigrain.register  # noqa: F401
from mmdet_multigrain.engine.checkpoint.class_predictors import _head_of

# Its text scores have a bias but no rows for classes; it is dropped and drawn again.
OTHERS = {'GroundingDINOHead': {f'bbox_head.cls_branches.{layer}.bias' for layer in range(7)}}


def with_classes(config: object, count: int) -> object:
    """A config with another number of classes wherever it has one."""
    numbers = dict(num_classes=count, num_things_classes=count, num_stuff_classes=0)
    numbers['class_weight'] = [1.0] * count + [0.1]
    if isinstance(config, Mapping):
        values = {
            key: numbers[key]
            if key in numbers and isinstance(value, type(numbers[key]))
            else with_classes(value, count)
            for key, value in config.items()
        }
        return ConfigDict(values)
    if isinstance(config, list | tuple):
        return type(config)(with_classes(value, count) for value in config)
    return config


def mmdet_heads() -> Iterator[tuple[str, dict]]:
    """Name in the detector and config of each kind of head in MMDetection's own configs."""
    seen = set()
    for folder in sorted(Path(mmdet.__file__).parent.glob('.mim/configs/[!_]*')):
        for path in sorted(folder.glob('*.py'))[:1]:
            model = Config.fromfile(path, import_custom_modules=False).get('model', {})
            for name in ('bbox_head', 'mask_head', 'panoptic_head'):
                heads = model.get(name) or []
                for config in heads if isinstance(heads, list) else [heads]:
                    if config['type'] not in seen and 'num_' in str(config):
                        seen.add(config['type'])
                        yield name, config


@pytest.mark.long
def test_every_head_of_mmdet():
    compared = set()
    for name, config in mmdet_heads():
        models = nn.Module(), nn.Module()
        try:
            for model, count in zip(models, (3, 4), strict=True):
                setattr(model, name, MODELS.build(with_classes(config, count)))
        except (ImportError, RuntimeError, TypeError) as error:  # the detector completes its config
            print(config['type'], error)
            continue
        small, large = (model.state_dict() for model in models)
        depend = {key for key in small if small[key].shape != large[key].shape}
        found = {key for key in small if _head_of(models[0], key) is not None}
        assert found - OTHERS.get(config['type'], set()) == depend, config['type']
        compared.add(config['type'])
    assert len(compared) >= 35 and {'SSDHead', 'YOLOV3Head', 'CornerHead'} <= compared
