"""Head against data: every way in which they can disagree, and what a run starts from."""

import contextlib
from types import SimpleNamespace

import pytest
import torch
from mmdet.models import DetTTAModel
from mmdet.registry import HOOKS, MODELS
from mmengine.hooks import CheckpointHook
from mmengine.optim import OptimWrapper
from mmengine.registry import MODEL_WRAPPERS
from torch import nn

from mmdet_multigrain.datasets import taxonomy_metainfo
from mmdet_multigrain.engine import PreflightHook
from mmdet_multigrain.engine.hooks.preflight_hook import (
    box_counts,
    check_boxes,
    check_data,
    check_heads,
    check_scored,
    class_table,
    learning_rate_line,
    length_line,
)
from mmdet_multigrain.models import MergedBBoxHead, MultiGrainedBBoxHead
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import AnnotationError, ConfigError


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


@pytest.mark.parametrize('grouped', [True, False])
def test_agreement_is_silent(garments, grouped):
    model = Model(head(garments, grouped=grouped))
    check_data(model, data(garments))
    check_data(Wrapper(model), data(garments))
    check_data(Model(stock_head(5)), data(garments))


def test_number_of_classes(garments):
    expected = (
        'model.roi_head.bbox_head has 13 classes, the data in train.json 5; give both the same '
        'taxonomy'
    )
    heads = (stock_head(13), ' (or num_classes=5)'), (head(Taxonomy.load('deepfashion2')), '')
    for bbox_head, more in heads:
        with pytest.raises(ValueError) as caught:
            check_data(Model(bbox_head), data(garments))
        assert str(caught.value) == expected + more


def test_order_of_classes(garments):
    classes = ('shirt', 'vest', 'skirt', 'hat', 'shorts')
    other = Taxonomy('other', classes, [garments.paths[garments.label_of(n)] for n in classes])
    with pytest.raises(ValueError) as caught:
        check_data(Model(head(garments)), data(other))
    assert str(caught.value) == (
        "label 1 is 'skirt' in model.roi_head.bbox_head but 'vest' in train.json; give both the "
        'same taxonomy'
    )
    # Without grouping, names count all the same.
    with pytest.raises(ValueError, match="label 1 is 'skirt'"):
        check_data(Model(head(garments, grouped=False)), data(other))


def test_name_of_a_class(garments):
    other = Taxonomy('other', ['shirt', 'skirt', 'vest', 'cap', 'shorts'], garments.paths)
    with pytest.raises(ValueError, match="label 3 is 'hat' in model.* but 'cap' in train.json"):
        check_data(Model(head(garments)), data(other))


def test_superclass(garments):
    other = regrouped(garments, vest=('bottom',))
    with pytest.raises(ValueError) as caught:
        check_data(Model(head(garments)), data(other))
    assert str(caught.value) == (
        "'vest' belongs to 'top' in model.roi_head.bbox_head but to 'bottom' in train.json; give "
        'both the same taxonomy'
    )
    check_data(Model(head(garments, grouped=False)), data(other))
    one_group = {'everything': list(garments.classes)}
    control = MultiGrainedBBoxHead(taxonomy=one_group, allow_one_group=True, **SIZE)
    check_data(Model(control), data(other))
    check_data(Model(head(garments)), data(other), with_groups=False)


def test_superclass_of_a_middle_level(three_levels):
    other = regrouped(three_levels, vest=('body', 'lower'))
    with pytest.raises(ValueError, match="'vest' belongs to 'upper' in .* but to 'lower'"):
        check_data(Model(head(three_levels)), data(other))


def test_levels(garments, three_levels):
    same_classes = Taxonomy('flat', three_levels.classes, [path[:1] for path in three_levels.paths])
    with pytest.raises(ValueError, match='bbox_head has 2 levels, the taxonomy of train.json 3;'):
        check_data(Model(head(same_classes)), data(three_levels))


def test_all_stages_of_a_cascade(garments):
    stages = nn.ModuleList([head(garments), head(garments), stock_head(4)])
    with pytest.raises(ValueError, match='^model.roi_head.bbox_head.2 has 4 classes'):
        check_data(Model(stages), data(garments))
    check_data(Model(stages[:2]), data(garments))


def test_masks(garments):
    check_data(Model(head(garments), mask_head(num_classes=5)), data(garments))
    check_data(
        Model(head(garments), mask_head(num_classes=80, class_agnostic=True)), data(garments)
    )
    with pytest.raises(ValueError, match='^model.roi_head.mask_head has 80 classes'):
        check_data(Model(head(garments), mask_head(num_classes=80)), data(garments))


def test_stock_data_has_names_only(garments):
    metainfo = dict(classes=garments.classes)
    check_heads(Model(head(garments)), metainfo, source='val.json')
    with pytest.raises(ValueError, match="label 0 is 'shirt' .* but 'shorts' in val.json"):
        check_heads(Model(head(garments)), dict(classes=garments.classes[::-1]), source='val.json')


def test_wrapped_data_sets(garments):
    one, two = (
        data(garments, f'{name}.json', box_counts=[1, 2, 3, 4, number])
        for name, number in (('a', 5), ('b', 50))
    )
    other = data(regrouped(garments, vest=('bottom',)), 'c.json', box_counts=[0] * 5)
    joined = SimpleNamespace(datasets=[one, SimpleNamespace(dataset=SimpleNamespace(dataset=two))])
    assert box_counts(joined) == [2, 4, 6, 8, 55]
    check_data(Model(head(garments)), joined)
    joined.datasets.append(other)
    with pytest.raises(ValueError, match="'vest' .* but to 'bottom' in c.json"):
        check_data(Model(head(garments)), joined)
    joined.datasets.append(data(garments))
    assert box_counts(joined) is None


def test_table(garments, three_levels):
    assert class_table(garments, [10, 20000, 0, 4, 5]) == '\n'.join(
        [
            'label  class   superclass  boxes',
            '    0  shirt   top            10',
            '    1  skirt   bottom      20000',
            '    2  vest    top             0',
            '    3  hat     hat             4',
            '    4  shorts  bottom          5',
        ]
    )
    assert class_table(three_levels, None).splitlines()[1] == '    0  shirt   body / upper      ?'


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
        test_loop=None,
        val_dataloader=SimpleNamespace(dataset=kwargs.get('val')),
        test_dataloader=SimpleNamespace(dataset=kwargs.get('test')),
    )


def val_loop(dataset, *metrics):
    return SimpleNamespace(
        dataloader=SimpleNamespace(dataset=dataset), evaluator=SimpleNamespace(metrics=metrics)
    )


BASE = dict(base_batch_size=24, enable=False)
ON = dict(base_batch_size=24, enable=True)


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (dict(), '0.005 after warm-up, for batches of 3 images'),
        (dict(batch=3, processes=8, scaling=BASE), '0.005 after warm-up, for batches of 24 images'),
        (
            dict(scaling=BASE),
            '0.005 after warm-up, for batches of 3 images; the schedule is for '
            '24: auto_scale_lr gives 0.000625',
        ),
        (
            dict(processes=2, scaling=BASE),
            '0.005 after warm-up, for batches of 6 images; the '
            'schedule is for 24: auto_scale_lr gives 0.00125',
        ),
        (
            dict(lr=0.000625, scaling=ON),
            '0.000625 after warm-up, for batches of 3 images; scaled from the schedule for 24 (the '
            'number of iterations is not scaled)',
        ),
        (
            dict(processes=2, steps=4, scaling=BASE),
            '0.005 after warm-up, for batches of 24 images (4 steps accumulated)',
        ),
        (
            dict(steps=4, scaling=BASE),
            '0.005 after warm-up, for batches of 12 images (4 steps accumulated); the schedule is for '
            '24: linear scaling gives 0.0025',
        ),
        (
            dict(steps=4, lr=0.000625, scaling=ON),
            '0.000625 after warm-up, for batches of 12 images (4 steps accumulated); scaled from the '
            'schedule for 24 (the number of iterations is not scaled): linear scaling gives 0.0025',
        ),
        (
            dict(lr=0.1, scaling=dict(base_batch_size=3)),
            '0.1 after warm-up, for batches of 3 images',
        ),
    ],
)
def test_learning_rate(options, expected):
    assert learning_rate_line(runner_of(**options)) == f'Learning rate {expected}'


def test_learning_rate_after_a_warm_up_began():
    runner = runner_of(lr=0.005)
    torch.optim.lr_scheduler.LinearLR(runner.optim_wrapper.optimizer, start_factor=0.001)
    assert runner.optim_wrapper.param_groups[1]['lr'] < 1e-5
    assert learning_rate_line(runner).startswith('Learning rate 0.005 ')


def test_mmengine_scales_as_the_line_says():
    """The figure after auto_scale_lr is what MMEngine then takes."""
    from mmengine.runner import Runner

    before = runner_of(batch=3, processes=2, scaling=BASE)
    after = runner_of(batch=3, processes=2, scaling=ON)
    after._train_dataloader = dict(batch_size=3)
    after.param_schedulers = None
    Runner.scale_lr(after, after.optim_wrapper, ON)
    rate = after.optim_wrapper.param_groups[1]['lr']
    assert learning_rate_line(before).endswith(f'auto_scale_lr gives {rate:g}')
    assert f'Learning rate {rate:g} ' in learning_rate_line(after)


@pytest.mark.parametrize(
    ('hook', 'expected'),
    [
        (dict(by_epoch=False, interval=50), '; 3 checkpoints, every 50 iterations'),
        (dict(by_epoch=True, interval=2), '; 3 checkpoints, every 2 epochs'),
        (dict(by_epoch=False, interval=-1), ''),
    ],
)
def test_length(hook, expected):
    hooks = [PreflightHook(), CheckpointHook(**hook)]
    runner = runner_of(batch=4, processes=2, train=range(64), hooks=hooks)
    line = 'Run of 120 iterations with 8 images each: 15 epochs of 64 images'
    assert length_line(runner) == line + expected


def test_before_training(garments):
    hook = HOOKS.build(dict(type='PreflightHook'))
    train = data(garments, box_counts=[1, 2, 3, 4, 5])
    runner = runner_of(garments, train=train, val=data(garments, 'val.json'))
    hook.before_train(runner)
    checking, table, length, rate = runner.messages
    assert checking == 'Checking the photos and annotations to evaluate on'
    assert table == f'Classes of train.json:\n{class_table(garments, train.box_counts)}'
    assert length == 'Run of 120 iterations with 3 images each: 36 epochs of 10 images'
    assert rate.startswith('Learning rate 0.005 ')
    train.empty_counts = 2, 3
    runner.messages.clear()
    hook.before_train(runner)
    assert runner.messages[1].splitlines()[-1] == (
        'Photos without objects: 2 kept as negatives, 3 left out'
    )
    other = data(regrouped(garments, vest=('bottom',)), 'val.json')
    hook.before_train(runner_of(garments, train=train, val=other))  # evaluated in other groups
    with pytest.raises(ValueError, match="'vest' belongs to 'top' .* in val.json"):
        hook.before_train(runner_of(garments, train=other))
    runner = runner_of(garments, train=train, val=data(Taxonomy.load('deepfashion2'), 'df2.json'))
    with pytest.raises(ValueError, match='has 5 classes, the data in df2.json 13'):
        hook.before_train(runner)
    assert runner.messages == []
    runner.val_loop = None
    hook.before_train(runner)


def test_classes_without_a_training_box_are_named_loudly(garments):
    runner = runner_of(garments, train=data(garments, box_counts=[0, 2, 0, 4, 5]))
    PreflightHook().before_train(runner)
    (warning,) = (line for line in runner.messages if 'NEVER' in line)
    assert warning.startswith('train.json: 2 of 5 classes have no training box')
    assert all(repr(garments.classes[label]) in warning for label in (0, 2))
    runner = runner_of(garments, train=data(garments, box_counts=[1, 2, 3, 4, 5]))
    PreflightHook().before_train(runner)
    assert 'NEVER' not in ''.join(runner.messages)


def test_data_without_a_box_stops_the_run(garments):
    empty, full = ([data(garments, 'a.json', box_counts=[n] * 5)] for n in (0, 1))
    for train, val, purpose in ((empty, full, 'train on'), (full, empty, 'evaluate on')):
        with pytest.raises(AnnotationError, match=f'a.json: no box to {purpose}'):
            PreflightHook().before_train(runner_of(garments, train=train[0], val=val[0]))
    check_boxes(SimpleNamespace(datasets=[empty[0], full[0]]), 'train on')  # negatives
    check_boxes(data(garments), 'train on')  # unknown


def test_what_would_stop_the_first_validation_is_asked_before_training(garments):
    def part(*image_ids):
        dataset = data(garments, 'val.json', checks=0)
        dataset.__dict__['check_images'] = lambda: setattr(dataset, 'checks', dataset.checks + 1)
        dataset.get_data_info = lambda idx: dict(img_id=image_ids[idx % len(image_ids)])
        return dataset

    asked = []
    metrics = SimpleNamespace(check_data=asked.append), SimpleNamespace()
    parts = part('a'), part('b', 'c')
    joined = SimpleNamespace(datasets=parts)
    train = data(garments, box_counts=[1] * 5)
    PreflightHook().before_train(runner_of(garments, train=train, val=joined, metrics=metrics))
    assert [one.checks for one in parts] == [1, 1]
    assert asked == [['a'] * 10 + ['b', 'c'] * 5]


def test_before_testing(garments):
    hook = PreflightHook()
    hook.before_test(runner_of(garments, test=data(garments)))
    runner = runner_of(garments, test=data(Taxonomy.load('deepfashion2'), 'df2.json'))
    with pytest.raises(ValueError, match='has 5 classes, the data in df2.json 13'):
        hook.before_test(runner)
    runner.model.test_step = None
    runner.model = DetTTAModel(module=runner.model)
    with pytest.raises(ValueError, match='bbox_head has 5 classes, the data in df2.json 13'):
        hook.before_test(runner)


@pytest.mark.parametrize(
    ('boxes', 'format_only', 'fails'),
    [([0, 0], [False], True), ([0, 0], [True, False], True), ([0, 0], [True], False)]
    + [([0, 1], [False], False), (None, [False], False)],
)
def test_nothing_is_scored_without_boxes(garments, boxes, format_only, fails):
    """Test sets are only predicted on; of other data sets the boxes are unknown."""
    metrics = [SimpleNamespace(format_only=value) for value in format_only]
    loop = SimpleNamespace(evaluator=SimpleNamespace(metrics=metrics))
    counts = {} if boxes is None else {'box_counts': boxes}
    with pytest.raises(ConfigError) if fails else contextlib.nullcontext() as caught:
        check_scored(loop, data(garments, 'test.json', **counts))
    if fails:
        assert str(caught.value).startswith('test.json: no boxes to score detections against')
