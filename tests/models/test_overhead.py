"""What the heads cost compared with a stock one: operations, host synchronization, FLOPs."""

from __future__ import annotations

import collections
import warnings
from pathlib import Path

import pytest
import torch
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead
from mmdet.registry import MODELS
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from mmdet_multigrain.launch import load_config
from mmdet_multigrain.models import MergedBBoxHead, MultiGrainedBBoxHead

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'multigrain'
SMALL = dict(in_channels=4, roi_feat_size=3, fc_out_channels=16)
# Operations whose result, or its size, the host must know before it can go on.
_WAITING = {
    'aten::_local_scalar_dense',
    'aten::_unique2',
    'aten::equal',
    'aten::is_nonzero',
    'aten::masked_select',
    'aten::nonzero',
    'aten::unique_dim',
}
OURS = {
    'wgroup': lambda: MultiGrainedBBoxHead(taxonomy='deepfashion2', **SMALL),
    'coarse regression': lambda: MultiGrainedBBoxHead(
        taxonomy='deepfashion2', reg_weights=(1, 1), **SMALL
    ),
    'merged': lambda: MergedBBoxHead(taxonomy='deepfashion2', **SMALL),
}


class CountWaiting(TorchDispatchMode):
    """Counts operations that would make the host wait for a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = collections.Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.name().split('.')[0]
        if name in _WAITING or (name.startswith('aten::index') and _by_mask(args)):
            self.counts[name] += 1
        return function(*args, **(kwargs or {}))


def _by_mask(args) -> bool:
    """Whether an index operation takes a boolean mask."""
    indices = args[1] if len(args) > 1 and isinstance(args[1], list | tuple) else ()
    return any(index is not None and index.dtype == torch.bool for index in indices)


def stock() -> Shared2FCBBoxHead:
    return Shared2FCBBoxHead(
        num_classes=13, loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False), **SMALL
    )


def batch(device='cpu', num=28):
    labels = torch.arange(num) % 14
    weights = (labels < 13).float()[:, None].expand(num, 4)
    corners = torch.rand(num, 2) * 50
    tensors = dict(
        rois=torch.cat([torch.zeros(num, 1), corners, corners + 20], 1),
        labels=labels,
        label_weights=torch.ones(num),
        bbox_targets=torch.randn(num, 4) * weights,
        bbox_weights=weights,
    )
    return torch.randn(num, 4, 3, 3).to(device), {k: v.to(device) for k, v in tensors.items()}


def step(head, features, targets) -> None:
    losses = head.loss(*head(features), **targets)
    sum(value for key, value in losses.items() if 'loss' in key).backward()


def waiting(head, coarse_labels=False) -> collections.Counter:
    features, targets = batch()
    if coarse_labels:
        targets['labels'][::4] = torch.arange(7) % 4 + 14
    with CountWaiting() as mode:
        step(head, features, targets)
    return mode.counts


def test_counting_sees_what_waits():
    with CountWaiting() as mode:
        x = torch.arange(4.0)
        x[x > 1].sum().item()
        x[x > 1] = 0
        bool(x.any())
        (x > 1).nonzero()
        x[torch.tensor([0, 1])]  # by numbers: nothing to wait for
    counts = mode.counts
    assert counts['aten::_local_scalar_dense'] + counts['aten::is_nonzero'] == 2
    assert counts['aten::index'] + counts['aten::index_put_'] == 2
    assert counts['aten::nonzero'] == 1


@pytest.mark.parametrize(
    ('name', 'coarse_labels'), [*((name, False) for name in OURS), ('wgroup', True)]
)
def test_the_host_waits_no_more_often_than_with_a_stock_head(name, coarse_labels):
    expected = waiting(stock())
    assert sum(expected.values()) > 0  # the stock head does wait
    if name == 'coarse regression':  # for mmdet's regression loss once more
        expected['aten::_local_scalar_dense'] += waits_of_regression()
    found = waiting(OURS[name](), coarse_labels)
    assert all(found[key] <= expected[key] for key in found), (found, expected)


class RecordOperations(TorchDispatchMode):
    """Names and shapes of all operations, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        shape = tuple(result.shape) if isinstance(result, torch.Tensor) else None
        self.seen.append((function.name(), shape))
        return result


@pytest.mark.parametrize('reg_per', ['class', 'group'])
@pytest.mark.parametrize('mode', ['mask', 'marginal'])
def test_coarse_labels_take_the_same_operations(mode, reg_per):
    """So a training step takes as long with them as without."""
    loss = dict(type='HierarchicalCrossEntropyLoss', coarse_labels=mode)
    head = MultiGrainedBBoxHead(taxonomy='deepfashion2', loss_cls=loss, reg_per=reg_per, **SMALL)
    seen = []
    for coarse_labels in (False, True):
        features, targets = batch()
        if coarse_labels:
            targets['labels'][:4] = torch.arange(14, 18)
        head.zero_grad()
        with RecordOperations() as operations:
            step(head, features, targets)
        seen.append(operations.seen)
    assert seen[0] == seen[1] and len(seen[0]) > 50


def waits_of_regression() -> int:
    loss = stock().loss_bbox
    with CountWaiting() as mode:
        loss(torch.zeros(2, 4), torch.ones(2, 4), torch.ones(2, 4), avg_factor=2)
    return mode.counts.total()


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('name', ['wgroup', 'merged'])
def test_cuda_reports_no_more_synchronisation_than_with_a_stock_head(name):
    counts = []
    for head in (stock(), OURS[name]()):
        head.cuda()
        features, targets = batch('cuda')
        step(head, features, targets)  # what is set up once does not count
        torch.cuda.set_sync_debug_mode('warn')
        try:
            with warnings.catch_warnings(record=True) as seen:
                warnings.simplefilter('always')
                step(head, features, targets)
        finally:
            torch.cuda.set_sync_debug_mode('default')
        counts.append(sum('synchroniz' in str(warning.message) for warning in seen))
    assert 0 < counts[0] and counts[1] <= counts[0]


def flops(function) -> int:
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()


def head_flops(name: str, rois: int) -> int:
    """Multiplications and additions of a training step of a box head, without its losses."""
    cfg = load_config(CONFIGS / f'{name}.py')
    with torch.device('meta'):
        head = MODELS.build(cfg.model.roi_head.bbox_head)
        features = torch.empty(rois, head.in_channels, 7, 7, requires_grad=True)
    return flops(lambda: sum(part.sum() for part in head(features)).backward())


def body_flops(name: str, shape: tuple[int, int]) -> int:
    """The same of backbone, neck and RPN."""
    cfg = load_config(CONFIGS / f'{name}.py')
    with torch.device('meta'):
        model = MODELS.build(cfg.model).train()
        picture = torch.empty(1, 3, *shape)

    def body() -> None:
        scores, deltas = model.rpn_head(model.extract_feat(picture))
        sum(output.sum() for output in (*scores, *deltas)).backward()

    return flops(body)


def test_arithmetic_of_a_step_at_800_x_1333():
    body = body_flops('faster-rcnn_r101_fpn_df2', (800, 1344))
    names = ('faster-rcnn', 'wgroup', 'merged', 'baseline')
    stock, wgroup, merged, baseline = (
        body + head_flops(f'{name}_r101_fpn_df2', rois=512) for name in names
    )
    assert 1.02 < wgroup / stock < 1.025 and 1.02 < merged / stock < 1.025
    assert baseline == pytest.approx(wgroup, rel=0.002)
