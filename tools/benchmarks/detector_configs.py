"""What the benchmark of detectors compares: configs, and the stock detector that they answer to.

Here belongs everything that happens to a config before a process builds it.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmdet_multigrain.launch import load_config, quiet_imports
from mmdet_multigrain.taxonomy import Taxonomy

STOCK = 'stock'
# Stock detectors of the installed mmdet, by depth of the ResNet.
STOCK_CONFIGS = {
    depth: f'mmdet::faster_rcnn/faster-rcnn_r{depth}_fpn_1x_coco.py' for depth in (50, 101)
}
# Arguments that mmdet's Shared2FCBBoxHead shares with our heads.
_HEAD_ARGUMENTS = (
    'in_channels', 'roi_feat_size', 'bbox_coder', 'reg_class_agnostic', 'loss_bbox', 'init_cfg')
# Parts of a config that name data or read it.
_DATA_KEYS = ('train_dataloader', 'val_dataloader', 'test_dataloader', 'val_evaluator',
              'test_evaluator')
# `config` keeps what the config says; the others are set by the benchmark.
PRECISIONS = ('config', 'fp32', 'tf32', 'fp16', 'bf16')


@dataclass(frozen=True)
class Contender:
    """One thing to measure.

    Attributes:
        name: As tables show it.
        source: File, or name in the installed mmdet.
        precision: One of ``PRECISIONS``.
        cfg: The config, complete.
    """

    name: str
    source: str
    precision: str
    cfg: Any

    @property
    def digest(self) -> str:
        """SHA-256 of the config's content; the same content gives the same in all runs."""
        text = json.dumps(self.cfg.to_dict(), sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


def load(sources: Sequence[str], *, against: str, precisions: Sequence[str],
         cfg_options: Mapping[str, Any] | None = None) -> tuple[list[Contender], str]:
    """The contenders, the reference first, each in every precision; and the reference's name.

    Args:
        sources: Config files; a name like ``mmdet::...`` is one of the installed mmdet.
        against: Config that the others are compared with; 'stock' is the stock detector with the
            body of the first config.
        precisions: Of ``PRECISIONS``.
        cfg_options: Overrides, for all configs but those of the installed mmdet.

    Raises:
        ValueError: One line, if a config cannot be loaded or two have one name.
    """
    own = [source for source in sources if not source.startswith('mmdet::')]
    if not own:
        raise ValueError('all configs are of the installed mmdet; name one that tells the classes '
                         'and the data')
    configs = {source: load_config(source, cfg_options) for source in dict.fromkeys(own)}
    first = configs[own[0]]
    classes = num_classes(first)
    for source in sources:
        if source not in configs:
            configs[source] = from_mmdet(source, classes, first)
    if against == STOCK:
        reference, stock_source = stock_of(list(configs.values()), classes)
        configs = {stock_source: reference, **configs}
        against = stock_source
    elif against not in configs:
        other = (from_mmdet(against, classes, first) if against.startswith('mmdet::')
                 else load_config(against, cfg_options))
        configs = {against: other, **configs}
    configs = {against: configs[against], **configs}
    names = {source: STOCK if source == STOCK else Path(source).stem for source in configs}
    if len(set(names.values())) < len(names):
        raise ValueError('two of the configs have the same file name; rename one')
    contenders = [
        Contender(names[source] + (f' {precision}' if len(precisions) > 1 else ''), source,
                  precision, cfg)
        for precision in precisions for source, cfg in configs.items()]
    return contenders, names[against]


def num_classes(cfg: Any) -> int:
    """Number of fine classes of a config's box head."""
    head = _bbox_head(cfg.model)
    if head.get('num_classes') is not None:
        return head['num_classes']
    return Taxonomy.load(head['taxonomy']).num_classes


def _bbox_head(model: Mapping[str, Any]) -> Mapping[str, Any]:
    head = model['roi_head']['bbox_head']
    return head[-1] if isinstance(head, list | tuple) else head  # of Cascade R-CNN


def from_mmdet(name: str, classes: int, data: Any) -> Any:
    """A config of the installed mmdet, with so many classes and the data of another config.

    Its own training pipeline stays, as do batch size and workers of the data. Weights are drawn:
    nothing is downloaded.
    """
    from mmengine.hub import get_config

    try:
        with quiet_imports():
            cfg = get_config(name)
    except Exception as error:  # mmengine raises many kinds
        raise ValueError(f'{name}: not a config of the installed mmdet '
                         f'({type(error).__name__})') from error
    head = cfg.model['roi_head']['bbox_head']
    for one in head if isinstance(head, list) else [head]:
        one['num_classes'] = classes
    pipeline = _inner(cfg.train_dataloader['dataset'])['pipeline']
    for key in _DATA_KEYS:
        own, cfg[key] = cfg[key], copy.deepcopy(data[key])
        if key.endswith('evaluator'):
            cfg[key]['type'] = own['type']
            for item in set(cfg[key]) - {'type', 'ann_file', 'metric'}:
                del cfg[key][item]
    _inner(cfg.train_dataloader['dataset'])['pipeline'] = pipeline
    return cfg


def _inner(dataset: Any) -> Any:
    """The data set below wrappers such as ClassBalancedDataset."""
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    return dataset


def stock_of(configs: Sequence[Any], classes: int) -> tuple[Any, str]:
    """The stock detector for configs, by the body of the first, and where it comes from.

    A body that mmdet has a Faster R-CNN for gives that config as installed. Any other gives the
    first config itself with the stock head, as narrow as the narrowest of the configs.
    """
    first = configs[0]
    backbone = first.model['backbone']
    if backbone['type'] == 'ResNet' and backbone['depth'] in STOCK_CONFIGS:
        name = STOCK_CONFIGS[backbone['depth']]
        return from_mmdet(name, classes, first), name
    cfg = copy.deepcopy(first)
    widths = [_bbox_head(other.model).get('fc_out_channels', 1024) for other in configs]
    own = _bbox_head(first.model)
    cfg.model['roi_head'] = dict(first.model['roi_head'], bbox_head=dict(
        type='Shared2FCBBoxHead', num_classes=classes, fc_out_channels=min(widths),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
        **{key: own[key] for key in _HEAD_ARGUMENTS if key in own}))
    return cfg, STOCK
