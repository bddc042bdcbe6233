"""What a start from a checkpoint gives; frozen stages at random values; real Runner, tiny model."""

import pytest
import torch
from mmdet.models import Shared2FCBBoxHead

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import CheckpointError, ConfigError

from .tiny_runs import changed, report_of, unmatched


def test_start_from_another_detector(build, trained):
    def change(checkpoint):
        checkpoint['state_dict']['neck.conv.weight'] = torch.zeros(1)

    runner = build(5, Taxonomy('b', 'abcde'), load_from=changed(trained, change))
    fresh = runner.model.roi_head.fc_cls.weight.clone()
    runner.call_hook('before_run')
    runner.load_or_resume()
    assert report_of(runner) == (
        'Checkpoint gives 7 of the 9 tensors of the model\n'
        '  new, not in the checkpoint: roi_head.fc_cls (2)\n'
        '  skipped, of other shape or unknown: roi_head.fc_cls (2), neck (1)'
    )
    assert torch.equal(runner.model.roi_head.fc_cls.weight, fresh)
    weights = torch.load(trained, weights_only=False)['state_dict']
    assert torch.equal(runner.model.backbone[0].weight, weights['backbone.0.weight'])
    # It trains and validates, and the trained model may be tested.
    runner.train()
    runner.test()


def test_a_start_that_gives_nothing(build, trained):
    path = changed(trained, unmatched)
    runner = build(load_from=path)
    with pytest.raises(CheckpointError) as caught:
        runner.train()
    assert str(caught.value) == (
        f'{path}: gives 0 of the 9 tensors of the model (it begins with '
        "'student.backbone.0.weight', the model with 'backbone.0.weight'); name a checkpoint of "
        'such a detector, give weights of a backbone by model.backbone.init_cfg, or set '
        'allow_unmatched_checkpoint=True'
    )
    with pytest.raises(CheckpointError, match='it begins with nothing, the model with'):
        build(load_from=changed(trained, lambda checkpoint: dict(state_dict={}))).train()


def test_a_start_that_gives_nothing_if_asked_for(build, trained):
    runner = build(load_from=changed(trained, unmatched), cfg=dict(allow_unmatched_checkpoint=True))
    runner.train()
    assert report_of(runner).startswith('Checkpoint gives 0 of the 9 tensors')


def freeze(runner, *, parameters=False, norm=False):
    """Freeze the backbone of a runner as `frozen_stages` or `norm_eval` would."""
    if parameters:
        runner.model.backbone[0].requires_grad_(False)
    if norm:
        runner.model.backbone[1].train = lambda mode=True: None
        runner.model.backbone[1].training = False
    return runner


FROZEN = (
    'load_from=None: frozen stages of the backbone stay at random values (backbone.0.weight and 1 '
    'more tensors); set load_from or model.backbone.init_cfg to weights that fit, or '
    'model.backbone.frozen_stages=-1, or allow_random_frozen=True'
)
UNLEARNED = (
    'load_from=None: batch norm of the backbone keeps statistics that it never learned '
    '(backbone.1.running_mean and 1 more tensors); set load_from or model.backbone.init_cfg to '
    'weights that fit, or model.backbone.norm_eval=False, or allow_random_frozen=True'
)


BOTH = FROZEN.replace('1 more', '3 more').replace(
    'frozen_stages=-1', 'frozen_stages=-1 and model.backbone.norm_eval=False'
)


@pytest.mark.parametrize(
    ('parts', 'message'),
    [
        (dict(parameters=True), FROZEN),
        (dict(norm=True), UNLEARNED),
        (dict(parameters=True, norm=True), BOTH),
    ],
)
def test_frozen_at_random_values(build, trained, parts, message):
    with pytest.raises(ConfigError) as caught:
        freeze(build(), **parts).train()
    assert str(caught.value) == message

    def cut(checkpoint):  # all but the backbone
        state = checkpoint['state_dict']
        checkpoint['state_dict'] = {k: v for k, v in state.items() if 'backbone' not in k}

    path = changed(trained, cut)
    with pytest.raises(ConfigError) as caught:
        freeze(build(load_from=path), **parts).train()
    assert str(caught.value) == message.replace('load_from=None', f'load_from={path}')
    freeze(build(cfg=dict(allow_random_frozen=True)), **parts).train()
    freeze(build(load_from=trained), **parts).train()


def test_frozen_in_other_tasks(build, trained):
    """A resume trusts the run that it continues, and a test trains nothing."""
    freeze(build(), parameters=True).test()
    freeze(build(), parameters=True).val()
    runner = freeze(build(load_from=trained), norm=True)
    runner.test()  # what was loaded for a test counts
    runner.train()
    runner.train()
    freeze(build(load_from=trained, resume=True), norm=True).train()


def box_head(num_classes):
    return Shared2FCBBoxHead(
        in_channels=1, roi_feat_size=1, fc_out_channels=2, num_classes=num_classes
    )


@pytest.mark.parametrize('load_box_head', [None, False])
def test_a_box_head_starts_by_class_names(build, trained, load_box_head):
    names = ('skirt', 'hat', 'tank top', 'shirt')

    def change(checkpoint):
        head = box_head(3)
        head.fc_cls.bias.data = torch.tensor([10.0, 11.0, 12.0, 13.0])
        checkpoint['state_dict'].update(
            {f'roi_head.bbox_head.{key}': value for key, value in head.state_dict().items()}
        )

    runner = build(
        3,
        Taxonomy('other', names),
        load_from=changed(trained, change),
        cfg=dict(load_box_head=load_box_head),
    )
    runner.model.roi_head.bbox_head = box_head(4)
    fresh = runner.model.roi_head.bbox_head.fc_cls.bias.tolist()
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.call_hook('before_run')
    runner.load_or_resume()
    bias = runner.model.roi_head.bbox_head.fc_cls.bias.tolist()
    if load_box_head is False:
        assert bias == fresh
        assert report_of(runner).endswith(
            'bbox_head: not taken; load_box_head=True takes what fits'
        )
    else:
        assert bias == [12, fresh[1], fresh[2], 10, 13]
        assert '  new, not in the checkpoint' not in report_of(runner)
        assert '2 of 4 classes, background' in report_of(runner)


def test_a_resume_takes_the_box_head_as_it_is(build, tmp_path):
    """Also where a start would not know its classes."""

    def change(checkpoint):
        checkpoint['meta']['dataset_meta'] = None

    runner = build()
    runner.model.roi_head.bbox_head = box_head(3)
    runner.train()
    runner = build(
        load_from=changed(str(tmp_path / 'work' / 'iter_2.pth'), change, 'iter_1.pth'), resume=True
    )
    runner.model.roi_head.bbox_head = box_head(3)
    runner.train()
    assert 'new' not in report_of(runner)
