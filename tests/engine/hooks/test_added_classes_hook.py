"""What stays as it is when a class is added, by short trainings with AdamW, decay and clipping."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.hooks import EMAHook
from mmengine.model import BaseModel
from torch import nn
from torch.utils.data import DataLoader

import mmdet_multigrain.register  # noqa: F401
from mmdet_multigrain.datasets import taxonomy_metainfo
from mmdet_multigrain.engine import MultigrainRunner
from mmdet_multigrain.engine.checkpoint.added_classes import with_classes
from mmdet_multigrain.engine.checkpoint.surgery import add_classes
from mmdet_multigrain.engine.checkpoint.training_record import keep_record
from mmdet_multigrain.engine.hooks import AddedClassesHook, CheckpointReportHook
from mmdet_multigrain.engine.hooks.added_classes_hook import learning_rows
from mmdet_multigrain.engine.hooks.preflight_hook import give_counts
from mmdet_multigrain.utils.errors import CheckpointError, ConfigError

SMALL = dict(in_channels=2, roi_feat_size=2, fc_out_channels=3)
OURS = dict(type='MultiGrainedBBoxHead', reg_weights=(1, 1), **SMALL)
HEAD = 'roi_head.bbox_head.'


class Small(BaseModel):
    """The parts of a detector, on RoI features with labels."""

    def __init__(self, taxonomy, head=OURS):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))
        self.rpn_head = nn.Conv2d(2, 1, 1)
        self.roi_head = nn.Module()
        self.roi_head.bbox_head = MODELS.build(dict(head, taxonomy=taxonomy))

    def forward(self, inputs, labels=None, mode='tensor'):
        if mode != 'loss':
            return [0]
        x, head = self.backbone(inputs), self.roi_head.bbox_head
        ones, rois = torch.ones(len(x), 4), torch.zeros(len(x), 5)
        losses = head.loss(*head(x), rois, labels, ones[:, 0], ones, ones)
        return dict(losses, loss_rpn=self.rpn_head(x).square().mean())


class Data:
    """Twelve RoIs of all classes and background."""

    def __init__(self, taxonomy):
        self.metainfo = taxonomy_metainfo(taxonomy)
        generator = torch.Generator().manual_seed(0)
        self.inputs = torch.randn(12, 2, 2, 2, generator=generator)

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, index):
        return dict(inputs=self.inputs[index], labels=index % 8)


@pytest.fixture
def start(garments, tmp_path):
    """The grown taxonomy, and the path of a checkpoint with two more classes."""
    torch.manual_seed(0)
    model = Small(garments)
    checkpoint = dict(
        state_dict=model.state_dict(), meta=dict(dataset_meta=taxonomy_metainfo(garments))
    )
    keep_record(model, checkpoint)
    grown = with_classes(garments, {'kimono': 'top', 'sock': None})
    after, _ = add_classes(checkpoint, grown, path='a.pth')
    path = tmp_path / 'b.pth'
    torch.save(after, path)
    return grown, str(path)


@pytest.fixture
def train(start, tmp_path):
    """Train from there; the state dict and the checkpoint at the end."""
    taxonomy, path = start

    def run(folder='work', *, iterations=4, ema=False, load_from=path, resume=False, **options):
        runner = MultigrainRunner(
            model=Small(taxonomy),
            work_dir=str(tmp_path / folder),
            train_dataloader=DataLoader(Data(taxonomy), batch_size=6),
            train_cfg=dict(by_epoch=False, max_iters=iterations),
            optim_wrapper=dict(
                optimizer=dict(type='AdamW', lr=0.1, weight_decay=0.5), clip_grad=dict(max_norm=1)
            ),
            default_hooks=dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2)),
            custom_hooks=[CheckpointReportHook(), AddedClassesHook(**options)]
            + [EMAHook(momentum=0.3)] * ema,
            default_scope='mmdet',
            load_from=load_from,
            resume=resume,
            experiment_name=f'{tmp_path.name}_{folder}_{iterations}',
        )
        runner.train()
        checkpoint = torch.load(tmp_path / folder / f'iter_{iterations}.pth', weights_only=False)
        return runner.model, checkpoint

    return run


def changed_rows(path, state):
    """Rows in which tensors differ from those of a checkpoint, by name."""
    before = torch.load(path, weights_only=True)['state_dict']
    assert before.keys() == state.keys()
    differ = {}
    for name, value in before.items():
        rows = (value != state[name]).reshape(len(value) if value.dim() else 1, -1).any(1)
        if rows.any():
            differ[name.removeprefix(HEAD)] = rows.nonzero()[:, 0].tolist()
    return differ


# Labels 5 and 6; 'sock' is also group 3 of the coarse branch.
NEW = {
    f'{layer}.{part}': rows
    for layer, rows in {
        'fc_cls': [5, 6],
        'fc_reg': [*range(20, 28)],
        'coarse_fc_cls.0': [3],
        'coarse_fc_reg.0': [*range(12, 16)],
    }.items()
    for part in ('weight', 'bias')
}


@pytest.mark.parametrize('ema', [False, True])
def test_all_but_the_new_rows_stay(train, start, ema):
    model, checkpoint = train(ema=ema)
    assert changed_rows(start[1], model.state_dict()) == NEW
    assert changed_rows(start[1], checkpoint['state_dict']) == NEW
    if ema:
        source = checkpoint['ema_state_dict']
        source = {key.removeprefix('module.'): source[key] for key in source if key != 'steps'}
        assert changed_rows(start[1], source) == NEW
        assert not source[f'{HEAD}fc_cls.bias'].equal(
            checkpoint['state_dict'][f'{HEAD}fc_cls.bias']
        )
    added = checkpoint['meta']['added_classes'][-1]
    assert added['classes'] == ['kimono', 'sock'] and 0 < added['seconds'] < 100


def test_the_path_to_the_fine_scores_stays(train, start):
    model, _ = train(freeze='fine_branch')
    changed = changed_rows(start[1], model.state_dict())
    fine = {name: rows for name, rows in changed.items() if name.startswith('fc_')}
    assert fine == {name: rows for name, rows in NEW.items() if name.startswith('fc_')}
    assert not [name for name in changed if name.startswith(('backbone', 'branch_fcs.1'))]
    assert changed['branch_in.weight'] and max(changed['branch_in.weight']) < 3
    assert {'rpn_head.weight', 'coarse_fc_cls.0.weight'} <= changed.keys()
    assert len(changed['coarse_fc_cls.0.bias']) > 1


def test_nothing_stays_but_the_record(train, start):
    model, checkpoint = train(freeze='none')
    changed = changed_rows(start[1], model.state_dict())
    assert {'backbone.0.weight', 'backbone.1.running_mean', 'branch_in.weight'} <= changed.keys()
    assert checkpoint['meta']['added_classes'][-1]['classes'] == ['kimono', 'sock']


@pytest.mark.parametrize('ema', [False, True])
def test_an_interrupted_training_ends_the_same(train, tmp_path, ema):
    model, whole = train(ema=ema)
    train('half', iterations=2, ema=ema)
    last = str(tmp_path / 'half' / 'iter_2.pth')
    resumed, other = train('half', ema=ema, load_from=last, resume=True)
    for name, value in model.state_dict().items():
        assert value.equal(resumed.state_dict()[name]), name
    for name, value in whole['state_dict'].items():
        assert value.equal(other['state_dict'][name]), name


def test_a_start_without_added_classes(train, start, tmp_path):
    checkpoint = torch.load(start[1], weights_only=True)
    del checkpoint['meta']['added_classes']
    torch.save(checkpoint, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='a.pth: no class was added to it; start from what'):
        train(load_from=str(tmp_path / 'a.pth'))
    with pytest.raises(ConfigError, match="freeze='all': must be one of"):
        AddedClassesHook('all')


@pytest.mark.parametrize('before', ['saving', 'validation'])
def test_old_boxes_of_norcal_stay(start, before):
    """The run would count them in photos that do not annotate old classes.

    A resumed run may validate before its first iteration.
    """
    taxonomy, path = start
    model = Small(taxonomy, dict(OURS, fusion=dict(type='NorCal')))
    counts = model.roi_head.bbox_head.loss_cls.fusion.class_counts
    counts.copy_(torch.arange(1, 8))
    hook, runner = AddedClassesHook(), runner_of(model, taxonomy)
    hook.after_load_checkpoint(runner, torch.load(path, weights_only=True))
    hook.before_train(runner)
    give_counts(model, [0, 0, 0, 0, 0, 9, 8])
    if before == 'saving':
        hook.after_train_iter(runner, 0)
    else:
        hook.before_val(runner)
    assert counts.tolist() == [1, 2, 3, 4, 5, 9, 8]


def test_norcal_needs_the_old_boxes(start):
    """With none for the old classes and some for the new ones, it would lower the new ones alone."""
    taxonomy, path = start
    model = Small(taxonomy, dict(OURS, fusion=dict(type='NorCal')))
    hook, runner = AddedClassesHook(), runner_of(model, taxonomy)
    runner._load_from = path
    hook.after_load_checkpoint(runner, torch.load(path, weights_only=True))
    with pytest.raises(CheckpointError, match='lacks the training boxes of the old classes'):
        hook.before_train(runner)


def runner_of(model, taxonomy):
    """What the hook asks of a runner."""
    return SimpleNamespace(
        model=model,
        train_dataloader=SimpleNamespace(dataset=Data(taxonomy)),
        logger=SimpleNamespace(info=str),
    )


@pytest.mark.parametrize('finds', [True, False])
def test_several_processes_do_not_wait_for_what_is_frozen(start, finds):
    """They would, unless they find out what has no gradient."""
    taxonomy, path = start
    hook, model = AddedClassesHook(), Small(taxonomy)
    wrapper = SimpleNamespace(
        find_unused_parameters=finds,
        named_parameters=model.named_parameters,
        named_modules=model.named_modules,
        modules=model.modules,
    )
    runner = runner_of(wrapper, taxonomy)
    hook.after_load_checkpoint(runner, torch.load(path, weights_only=True))
    if finds:
        return hook.before_train(runner)
    with pytest.raises(ConfigError, match='set find_unused_parameters=True$'):
        hook.before_train(runner)


@pytest.mark.parametrize('reg_per', ['class', 'group', 'agnostic'])
def test_other_heads(garments, reg_per):
    grown = with_classes(garments, {'kimono': 'top'})
    head = dict(type='MergedBBoxHead', reg_per=reg_per, **SMALL)
    rows = {'fc_cls': [5]} | ({'fc_reg': [*range(20, 24)]} if reg_per == 'class' else {})
    expected = {f'{HEAD}{k}.{part}': v for k, v in rows.items() for part in ('weight', 'bias')}
    assert learning_rows(Small(grown, head), [5], 'all_but_new') == expected
    # All of its branches lead to the fine scores.
    assert learning_rows(Small(grown, head), [5], 'fine_branch').keys() - expected.keys() == {
        'rpn_head.weight',
        'rpn_head.bias',
    }
