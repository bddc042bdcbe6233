"""Head against data: every way in which they can disagree, and what a run starts from."""

import contextlib
from types import SimpleNamespace

import pytest
from mmdet.models import DetTTAModel
from mmdet.registry import HOOKS, MODELS
from torch import nn

from mmdet_multigrain.engine.hooks import PreflightHook
from mmdet_multigrain.engine.hooks import preflight_hook as module
from mmdet_multigrain.engine.hooks.preflight_hook import (
    box_counts,
    check_boxes,
    check_data,
    check_heads,
    check_scored,
    class_table,
)
from mmdet_multigrain.models import MultiGrainedBBoxHead
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import AnnotationError, ConfigError

from ...models.dense_heads.made_node_heads import RTMDET, of_nodes, stock_of
from .preflight_cases import (
    SIZE,
    Model,
    Wrapper,
    data,
    head,
    mask_head,
    regrouped,
    runner_of,
    stock_head,
)


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


def test_fusion_in_some_stages_of_a_cascade(garments):
    fused = head(garments, fusion=dict(type='ConditionalFusion', gamma=1))
    check_data(Model(nn.ModuleList([fused, fused])), data(garments))
    check_data(Model(nn.ModuleList([stock_head(5), head(garments)])), data(garments))
    with pytest.raises(ConfigError) as caught:
        check_data(Model(nn.ModuleList([head(garments), fused])), data(garments))
    assert str(caught.value) == (
        'model.roi_head.bbox_head.0 has no fusion of levels, but model.roi_head.bbox_head.1 has; '
        'give all 2 stages the same'
    )


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


def test_classes_of_stuff_are_not_those_of_the_data(garments):
    model = Model(head(garments))
    model.roi_head.semantic_head = MODELS.build(
        dict(
            type='FusedSemanticHead',
            num_ins=5,
            fusion_level=1,
            num_convs=1,
            in_channels=2,
            conv_out_channels=2,
            num_classes=183,
        )
    )
    check_data(model, data(garments))


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


def test_a_column_for_each_tree(two_trees):
    assert class_table(two_trees, [10, 0, 0, 4, 5]).splitlines() == [
        'label  class   kind          season  boxes',
        '    0  shirt   body / upper  summer     10',
        '    1  vest    body / upper  winter      0',
        '    2  skirt   body / lower  winter      0',
        '    3  shorts  body / lower  summer      4',
        '    4  hat     head / hat    hat         5',
    ]


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


def test_what_the_evaluator_cannot_use_is_asked_before_a_test(garments):
    asked = []
    dataset = data(garments, 'test.json')
    dataset.get_data_info = lambda idx: dict(img_id=idx)
    metrics = SimpleNamespace(check_data=asked.append), SimpleNamespace()
    PreflightHook().before_test(runner_of(garments, test=dataset, metrics=metrics))
    assert asked == [list(range(10))]


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


def test_groups_count_unless_they_are_left_out(garments):
    metainfo = data(regrouped(garments, vest=('bottom',))).metainfo
    model = Model(head(garments))
    with pytest.raises(ConfigError, match="'vest' belongs to 'top' in .* to 'bottom' in val.json"):
        check_heads(model, metainfo, source='val.json')
    check_heads(model, metainfo, source='val.json', with_groups=False)


def test_heads_of_one_stage_detectors(garments):
    model = nn.Module()
    model.bbox_head = of_nodes(RTMDET, garments)
    check_data(model, data(garments))
    with pytest.raises(ConfigError, match="'vest' belongs to 'top' in model.bbox_head but to 'bot"):
        check_data(model, data(regrouped(garments, vest=('bottom',))))
    model.bbox_head = stock_of(model.bbox_head, RTMDET, 4)
    with pytest.raises(
        ConfigError, match=r'^model.bbox_head has 4 classes, the data in train.json 5'
    ):
        check_data(model, data(garments))


def test_what_is_told_and_checked_of_the_order_and_masks(garments, monkeypatch):
    asked = []
    monkeypatch.setattr(module, 'check_masks', lambda *args: asked.append(args[1:]))
    monkeypatch.setattr(module, 'resampling_lines', lambda *args: [f'told of {args[1:]}'])
    train, val = data(garments, box_counts=[1] * 5), data(garments, 'val.json')
    runner = runner_of(garments, train=train, val=val, metrics=['a metric'])
    runner.train_dataloader.batch_sampler.sampler = 'the sampler'
    PreflightHook().before_train(runner)
    assert asked == [(train,), (val, ('a metric',))]
    told = runner.messages[1].splitlines()[-1]
    assert told == f"told of ('the sampler', {garments.classes})"
