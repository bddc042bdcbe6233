"""What is left of a trained detector at test time, as a model of stock MMDetection.

The multi-grained head detects with its fine branch alone (paper, section 3.2). That branch is a
stock box head: its first layer is a part of the rows of `branch_in`, the other layers are the same.
Only config and tensors are rewritten here; other modules write the files.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from typing import Any

from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from torch import Tensor, nn

from mmdet_multigrain.models import MultiGrainedBBoxHead
from mmdet_multigrain.utils.errors import ExportError

_HEAD = 'roi_head.bbox_head.'
_STOCK = ('torch', 'mmdet', 'mmcv', 'mmengine')
# Parts that detect as stock on contiguous features in single precision.
_SAME_AS = {
    'PlainRoIExtractor': 'SingleRoIExtractor',
    'Float32RPNHead': 'RPNHead',
    'FederatedStandardRoIHead': 'StandardRoIHead',
    'FederatedCascadeRoIHead': 'CascadeRoIHead',
}
# Arguments of MultiGrainedBBoxHead that its fine branch alone has no use for.
_OURS = (
    'taxonomy', 'grouped', 'allow_one_group', 'branch_fcs', 'coarse_width', 'reg_weights',
    'reg_per', 'reg_class_agnostic', 'fusion', 'added', 'init_cfg',
)  # fmt: skip


def check_added(model: nn.Module) -> None:
    """Refuse a head that keeps the old classes apart from added ones (`ExactAddition`)."""
    if any(getattr(head, 'added', None) is not None for head in _heads(model).values()):
        raise ExportError(
            'model.roi_head.bbox_head detects added classes apart from the old ones (added), which '
            'no exported head does; leave added out'
        )


def stock_model(config: Mapping[str, Any], model: nn.Module) -> tuple[dict, dict[str, Tensor]]:
    """Config and tensors of the stock model that detects what `model` detects.

    `config` is the model's, of plain values. Those that are returned are for `MODELS.build`, and a
    state dict for it whose tensors share no memory with others. Losses keep their weights, so that
    training can continue.

    Raises:
        ExportError: Stock MMDetection has no model that detects the same.
    """
    check_added(model)
    config, tensors = _without_speed(config), dict(model.state_dict())
    heads = _heads(model)
    if any(isinstance(head, MultiGrainedBBoxHead) for head in heads.values()):
        own = config['roi_head']['bbox_head']
        stages = own if isinstance(own, list | tuple) else [own] * len(heads)
        stages = [
            _fine_head(stage, head) if isinstance(head, MultiGrainedBBoxHead) else stage
            for stage, head in zip(stages, heads.values(), strict=True)
        ]
        is_cascade = isinstance(model.roi_head.bbox_head, nn.ModuleList)
        config['roi_head']['bbox_head'] = stages if is_cascade else stages[0]
    for prefix, head in heads.items():
        if isinstance(head, MultiGrainedBBoxHead):
            tensors = {key: value for key, value in tensors.items() if not key.startswith(prefix)}
            tensors |= {prefix + key: value for key, value in _fine_tensors(head).items()}
    # A copy: detectors hand parts of their config on to others within it.
    stock = MODELS.build(ConfigDict(copy.deepcopy(config)))
    _check_stock(stock)
    if not hasattr(model, 'roi_head'):
        raise ExportError(
            f'the model ({type(model).__name__}) has no RoI head; only two-stage detectors are '
            'exported, and stock ones of another kind load in MMDetection as they are'
        )
    stock.load_state_dict(tensors)
    return config, {name: tensors[name].clone() for name in stock.state_dict()}


def _heads(model: nn.Module) -> dict[str, nn.Module]:
    """The box heads, of all stages of a cascade, by the prefix of their tensors."""
    head = getattr(getattr(model, 'roi_head', None), 'bbox_head', None)
    if isinstance(head, nn.ModuleList):
        return {f'{_HEAD}{number}.': stage for number, stage in enumerate(head)}
    return {} if head is None else {_HEAD: head}


def _without_speed(config: Any) -> Any:
    """The same config with stock parts instead of those of the speed options."""
    if isinstance(config, Mapping):
        config = {key: _without_speed(value) for key, value in config.items()}
        kind = config.get('type')
        if isinstance(kind, str) and kind in _SAME_AS:
            config['type'] = _SAME_AS[kind]
            config.pop('unannotated_thr', None)
    elif isinstance(config, list | tuple):
        config = type(config)(map(_without_speed, config))
    return config


def _fine_head(config: Mapping[str, Any], head: MultiGrainedBBoxHead) -> dict[str, Any]:
    """The config of the stock head that is the fine branch of `head`."""
    _check_fine(head)
    depth = head.branch_depths[-1]
    kind = dict(type='ConvFCBBoxHead', num_shared_fcs=depth)
    if depth == 2:
        kind = dict(type='Shared2FCBBoxHead')
    loss_cls = dict((config.get('loss_cls') or {}).get('fine_loss', dict(type='CrossEntropyLoss')))
    loss_class = MODELS.get(loss_cls['type'])
    if 'num_classes' in inspect.signature(loss_class).parameters:
        loss_cls['num_classes'] = head.num_classes
    _scale(loss_cls, head.loss_cls.level_weights[-1])
    rest = {key: value for key, value in config.items() if key not in (*_OURS, 'type')}
    if 'loss_bbox' in rest:
        rest['loss_bbox'] = dict(rest['loss_bbox'])
        _scale(rest['loss_bbox'], head.reg_weights[-1])
    if head.reg_class_agnostic:
        rest['reg_class_agnostic'] = True
    widths = dict(num_classes=head.num_classes, fc_out_channels=head.fc_out_channels)
    return {**rest, **kind, **widths, 'loss_cls': loss_cls}


def _check_fine(head: MultiGrainedBBoxHead) -> None:
    """Refuse a head whose detections those of no stock head equal."""
    if head.with_avg_pool:
        raise ExportError(
            'model.roi_head.bbox_head averages its RoI features (with_avg_pool=True), which '
            'a stock head rounds differently: its detections would not be equal'
        )
    if head.loss_cls.fusion is not None:
        kind = type(head.loss_cls.fusion).__name__
        raise ExportError(
            f'model.roi_head.bbox_head corrects its scores (fusion: {kind}), which no stock head does; '
            'leave fusion out, or export to ONNX'
        )


def _scale(loss: dict[str, Any], weight: float) -> None:
    """Give a loss the weight of its level."""
    if weight != 1:
        loss['loss_weight'] = weight * loss.get('loss_weight', 1.0)


def _fine_tensors(head: MultiGrainedBBoxHead) -> dict[str, Tensor]:
    """The tensors of the fine branch under the names that they have in a stock head."""
    fine = str(len(head.branch_depths) - 1)
    tensors = {}
    for name, value in head.state_dict().items():
        part, _, rest = name.partition('.')
        if part == 'branch_in':
            tensors[f'shared_fcs.0.{rest}'] = value[-head.fc_out_channels :]
        elif part == 'branch_fcs':
            branch, layer, kind = rest.split('.')
            if branch == fine:
                tensors[f'shared_fcs.{int(layer) + 1}.{kind}'] = value
        elif name.startswith('loss_cls.fine_loss.'):
            tensors[name.replace('fine_loss.', '', 1)] = value
        elif part == 'fc_reg' and head.reg_rows is not None:
            tensors[name] = value[head.reg_rows]  # a copy of its group's rows for each class
        elif part in ('fc_cls', 'fc_reg'):
            tensors[name] = value
    return tensors


def _check_stock(model: nn.Module) -> None:
    for name, module in model.named_modules():
        kind = type(module)
        if kind.__module__.partition('.')[0] not in _STOCK:
            raise ExportError(
                f'model.{name} is a {kind.__name__} of {kind.__module__}, for which MMDetection '
                'has no equal; of our own parts only MultiGrainedBBoxHeads can be exported'
            )
