"""Heads, models, data sets and runners of which only what the preflight reads is there."""

from types import SimpleNamespace

import torch
from mmdet.registry import MODELS
from mmengine.optim import OptimWrapper
from mmengine.registry import MODEL_WRAPPERS
from torch import nn

from mmdet_multigrain.datasets import taxonomy_metainfo
from mmdet_multigrain.models import MergedBBoxHead, MultiGrainedBBoxHead
from mmdet_multigrain.taxonomy import Taxonomy


@MODEL_WRAPPERS.register_module(force=True)
class Wrapper(nn.Module):
    """Stands for DDP."""

    def __init__(self, module):
        super().__init__()
        self.module = module


class Model(nn.Module):
    """A detector of which only the heads matter."""

    def __init__(self, bbox_head, mask_head=None):
        super().__init__()
        self.rpn_head = nn.Linear(1, 1)
        self.rpn_head.num_classes = 1
        self.roi_head = nn.Module()
        self.roi_head.bbox_head = bbox_head
        if mask_head is not None:
            self.roi_head.mask_head = mask_head


SIZE = dict(in_channels=2, roi_feat_size=1, fc_out_channels=4)


def head(taxonomy, **kwargs):
    """The grouped head; a merged one for other than two levels."""
    if taxonomy.num_levels == 2:
        return MultiGrainedBBoxHead(taxonomy=taxonomy, **SIZE, **kwargs)
    return MergedBBoxHead(
        taxonomy=taxonomy, branch_fcs=range(1, taxonomy.num_levels + 1), **SIZE, **kwargs
    )


def stock_head(num_classes):
    return MODELS.build(dict(type='Shared2FCBBoxHead', num_classes=num_classes, **SIZE))


def mask_head(**kwargs):
    return MODELS.build(
        dict(type='FCNMaskHead', num_convs=1, in_channels=2, conv_out_channels=2, **kwargs)
    )


class Data(SimpleNamespace):
    """What the hook reads of a data set of ten images."""

    def __len__(self):
        return 10


def data(taxonomy, ann_file='train.json', **kwargs):
    return Data(ann_file=ann_file, metainfo=taxonomy_metainfo(taxonomy), **kwargs)


def regrouped(taxonomy, **groups):
    """The same classes; some of them in other groups."""
    paths = [
        groups.get(name, path) for name, path in zip(taxonomy.classes, taxonomy.paths, strict=True)
    ]
    return Taxonomy(taxonomy.name, taxonomy.classes, paths)


def runner_of(taxonomy=None, *, batch=3, processes=1, steps=1, scaling=None, lr=0.005, **kwargs):
    """What the hook reads of a Runner, with a real optimizer; rates before any scheduler."""
    model = Model(head(taxonomy)) if taxonomy is not None else nn.Linear(1, 1)
    small, *others = model.parameters()
    optimizer = torch.optim.SGD([dict(params=[small], lr=lr / 10), dict(params=others)], lr=lr)
    messages = []
    return SimpleNamespace(
        model=model,
        optim_wrapper=OptimWrapper(optimizer, accumulative_counts=steps),
        world_size=processes,
        max_iters=120,
        max_epochs=6,
        hooks=kwargs.get('hooks', ()),
        cfg=dict(auto_scale_lr=scaling) if scaling else {},
        logger=SimpleNamespace(info=messages.append, warning=messages.append),
        messages=messages,
        train_dataloader=SimpleNamespace(
            dataset=kwargs.get('train'), batch_sampler=SimpleNamespace(batch_size=batch)
        ),
        val_loop=kwargs.get('val') and val_loop(kwargs['val'], *kwargs.get('metrics', ())),
        test_loop=kwargs.get('test') and val_loop(kwargs['test'], *kwargs.get('metrics', ())),
        val_dataloader=SimpleNamespace(dataset=kwargs.get('val')),
        test_dataloader=SimpleNamespace(dataset=kwargs.get('test')),
    )


def val_loop(dataset, *metrics):
    return SimpleNamespace(
        dataloader=SimpleNamespace(dataset=dataset), evaluator=SimpleNamespace(metrics=metrics)
    )
