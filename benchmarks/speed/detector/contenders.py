"""The contenders of the benchmark of detectors: configs, and the stock detector to compare with.

Everything that happens to a config before a process builds it is here.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmdet_multigrain.launch import load_config, quiet_imports
from mmdet_multigrain.speed import merge_options
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError

STOCK = 'stock'
# Stock detectors of the installed mmdet, by depth of the ResNet.
STOCK_CONFIGS = {
    depth: f'mmdet::faster_rcnn/faster-rcnn_r{depth}_fpn_1x_coco.py' for depth in (50, 101)
}
# Arguments that mmdet's Shared2FCBBoxHead shares with our heads.
HEAD_ARGUMENTS = ('in_channels', 'roi_feat_size', 'bbox_coder', 'reg_class_agnostic', 'loss_bbox')
# Options for faster training that set a precision. 'config' keeps what the config says; fp32 also
# keeps TF32 out of convolutions, where PyTorch uses it by default.
PRECISIONS = {
    'config': (),
    'fp32': (),
    'tf32': ('tf32',),
    'fp16': ('amp-fp16',),
    'bf16': ('amp-bf16',),
}


@dataclass(frozen=True)
class Contender:
    """A detector to measure."""

    name: str  # as tables show it
    source: str  # file, or name in the installed mmdet
    precision: str  # one of `PRECISIONS`
    speed: str  # options for faster training, joined by '+'
    coarse_labels: bool  # whether only the superclass of half of its training boxes is known
    reference: str  # name of the contender that it is compared with
    cfg: Any  # the complete config

    def describe(self) -> dict[str, Any]:
        """All but the config, of which the SHA-256 of the content."""
        content = json.dumps(self.cfg.to_dict(), sort_keys=True, default=str)
        keys = ('source', 'precision', 'speed', 'coarse_labels', 'reference')
        digest = hashlib.sha256(content.encode()).hexdigest()
        return {key: getattr(self, key) for key in keys} | {'sha256': digest}


def load(
    sources: Sequence[str],
    *,
    against: str = STOCK,
    precisions: Sequence[str] = ('config',),
    speed: Sequence[str] = (),
    coarse_labels: bool = False,
    cfg_options: Mapping[str, Any] | None = None,
) -> tuple[list[Contender], Any]:
    """The contenders, each reference first, and the config whose data and classes all share.

    That config is the first that is not from the installed mmdet (`mmdet::...`), to which also
    `cfg_options` do not apply.

    Args:
        sources: Config files.
        against: Config that the others are compared with, or 'stock'; see `_stock_of`.
        precisions: Of `PRECISIONS`; each config is compared with the reference in the same one.
        speed: Options for faster training, several joined by '+'; each makes one more contender
            of every config but the reference.
        coarse_labels: Each contender with a multi-grained head makes one more, compared with it, of
            whose training boxes half have a superclass only.
        cfg_options: Overrides.

    Raises:
        ConfigError: A config cannot be loaded, or two have the same name.
    """
    wanted = [source for source in dict.fromkeys([against, *sources]) if source != STOCK]
    configs = {
        source: load_config(source, cfg_options)
        for source in wanted
        if not source.startswith('mmdet::')
    }
    shared = next((configs[source] for source in sources if source in configs), None)
    if shared is None:
        raise ConfigError(
            'all configs are from the installed mmdet; name one that has the classes and the data'
        )
    for source in wanted:
        if source not in configs:
            configs[source] = _from_mmdet(source, shared)
    if against == STOCK:
        against, reference = _stock_of(shared, configs.values())
        configs.setdefault(against, reference)
    stems = {source: Path(source).stem for source in [against, *wanted]}
    if len(set(stems.values())) < len(stems):
        raise ConfigError('two of the configs have the same file name; rename one')
    contenders = []
    for precision in precisions:
        suffix = f' {precision}' if len(precisions) > 1 else ''
        for source, stem in stems.items():
            for option in ('', *speed) if source != against else ('',):
                names = [*PRECISIONS[precision], *filter(None, option.split('+'))]
                contender = Contender(
                    name=stem + (f' {option}' if option else '') + suffix,
                    source=source,
                    precision=precision,
                    speed=option,
                    coarse_labels=False,
                    reference=stems[against] + suffix,
                    cfg=_with_options(configs[source], names),
                )
                contenders.append(contender)
                if coarse_labels and bbox_head(contender.cfg)['type'] == 'MultiGrainedBBoxHead':
                    name, reference = f'{contender.name} coarse labels', contender.name
                    changes = dict(name=name, reference=reference, coarse_labels=True)
                    contenders.append(dataclasses.replace(contender, **changes))
    if coarse_labels and not any(contender.coarse_labels for contender in contenders):
        raise ConfigError('--coarse-labels: none of the configs has a MultiGrainedBBoxHead')
    return contenders, shared


def _with_options(cfg: Any, names: Sequence[str]) -> Any:
    """The config with options for faster training."""
    from mmdet_multigrain.datasets.transforms import use_fast_loading

    cfg = copy.deepcopy(cfg)
    merge_options(cfg, names)
    if 'fast_loading' in cfg:
        use_fast_loading(cfg)
    return cfg


def has_data(cfg: Any) -> bool:
    """Whether the training annotations of a config exist."""
    dataset = _inner(cfg.train_dataloader['dataset'])
    return Path(dataset.get('data_root') or '', dataset.get('ann_file') or '').is_file()


def num_classes(cfg: Any) -> int:
    """Number of fine classes of a config's box head."""
    head = bbox_head(cfg)
    if head.get('num_classes') is not None:
        return head['num_classes']
    return Taxonomy.load(head['taxonomy']).num_classes


def bbox_head(cfg: Any) -> Mapping[str, Any]:
    """The box head of a config, the last one of a cascade."""
    head = cfg.model['roi_head']['bbox_head']
    return head[-1] if isinstance(head, list | tuple) else head


def _inner(dataset: Any) -> Any:
    """The data set inside wrappers such as ClassBalancedDataset."""
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    return dataset


def _from_mmdet(name: str, shared: Any) -> Any:
    """A config of the installed mmdet with the classes, data, batch size and workers of another.

    Its own training pipeline stays.
    """
    from mmengine.hub import get_config

    try:
        with quiet_imports():
            cfg = get_config(name)
    except Exception as error:  # mmengine raises many kinds
        raise ConfigError(
            f'{name}: not a config of the installed mmdet ({type(error).__name__})'
        ) from error
    heads = cfg.model['roi_head']['bbox_head']
    for head in heads if isinstance(heads, list) else [heads]:
        head['num_classes'] = num_classes(shared)
    pipeline = _inner(cfg.train_dataloader['dataset'])['pipeline']
    for part in ('train', 'val', 'test'):
        cfg[f'{part}_dataloader'] = copy.deepcopy(shared[f'{part}_dataloader'])
    for key in ('val_evaluator', 'test_evaluator'):
        kept = {name: shared[key][name] for name in ('ann_file', 'metric') if name in shared[key]}
        cfg[key] = dict(kept, type=cfg[key]['type'])
    _inner(cfg.train_dataloader['dataset'])['pipeline'] = pipeline
    cfg.custom_imports = shared.get('custom_imports')  # which options and data may need
    return cfg


def _stock_of(shared: Any, configs: Iterable[Any]) -> tuple[str, Any]:
    """The stock detector with the body of a config: its source and its config.

    If mmdet has a Faster R-CNN with this body, it is that one as installed. Else it is the config
    itself with the stock head, as narrow as the narrowest head of all configs.
    """
    backbone = shared.model['backbone']
    if backbone['type'] == 'ResNet' and backbone['depth'] in STOCK_CONFIGS:
        name = STOCK_CONFIGS[backbone['depth']]
        return name, _from_mmdet(name, shared)
    cfg, own = copy.deepcopy(shared), bbox_head(shared)
    cfg.model['roi_head']['bbox_head'] = dict(
        type='Shared2FCBBoxHead',
        num_classes=num_classes(shared),
        fc_out_channels=min(bbox_head(other).get('fc_out_channels', 1024) for other in configs),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
        **{key: own[key] for key in HEAD_ARGUMENTS if key in own},
    )
    return STOCK, cfg
