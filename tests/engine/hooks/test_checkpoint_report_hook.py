"""What a checkpoint gives, and where a misfit stops the run; real Runner, tiny model."""

from types import SimpleNamespace

import pytest
import torch
from mmdet.models import DetTTAModel
from mmdet.registry import HOOKS
from mmengine.model import MMDistributedDataParallel
from torch import nn

from mmdet_multigrain.engine.hooks import CheckpointReportHook
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import CheckpointError

from .tiny_runs import CLASSES, TAXONOMY, Data, Tiny, changed, report_of, unmatched


def test_it_is_registered():
    assert isinstance(HOOKS.build(dict(type='CheckpointReportHook')), CheckpointReportHook)


def test_whole_checkpoint(build, trained):
    runner = build(load_from=trained)
    runner.test()
    # Linear 2, batch norm 5, classifier 2.
    assert report_of(runner) == 'Checkpoint gives 9 of the 9 tensors of the model'
    weights = torch.load(trained, weights_only=False)['state_dict']
    assert all(torch.equal(own, weights[key]) for key, own in runner.model.state_dict().items())
    build(load_from=trained).val()
    build(load_from=trained, resume=True).train()


@pytest.mark.parametrize('task', ['test', 'val'])
def test_a_test_says_what_is_missing_instead(build, trained, task):
    with pytest.raises(CheckpointError, match='backbone.0.weight is not in the checkpoint'):
        getattr(build(load_from=changed(trained, unmatched)), task)()


def test_training_ends_the_doubts_about_a_checkpoint(build, trained):
    """Later validations are of what training made, not of a checkpoint without a record."""
    runner = build(load_from=trained)
    hook = next(hook for hook in runner.hooks if isinstance(hook, CheckpointReportHook))
    hook._has_no_record = True
    hook.before_train(runner)
    assert not hook._has_no_record


MISFIT = (
    'roi_head.fc_cls.weight has shape (4, 4) in the checkpoint but (6, 4) in the model (trained on '
    '3 classes: shirt, vest, skirt); use the config that the checkpoint was trained with'
)


@pytest.mark.parametrize(
    ('task', 'purpose', 'resume'),
    [('test', 'test', False), ('val', 'validate', False), ('train', 'resume', True)],
)
def test_other_number_of_classes_is_refused(build, trained, task, purpose, resume):
    runner = build(num_classes=5, load_from=trained, resume=resume, taxonomy=Taxonomy('b', 'abcde'))
    with pytest.raises(CheckpointError) as caught:
        getattr(runner, task)()
    assert str(caught.value) == f'{trained}: cannot {purpose} with this config: {MISFIT}'


def test_refused_before_mmengine_reads_the_optimizer(build, trained):
    """Another number of parameters makes its error the first to come, and it names no file."""
    runner = build(load_from=trained, resume=True)
    runner.model.extra = nn.Linear(1, 1)
    with pytest.raises(CheckpointError, match='cannot resume .*: extra.weight is not in the check'):
        runner.train()


def test_resume_of_the_last_checkpoint_is_named(build, trained, tmp_path):
    runner = build(num_classes=5, resume=True, taxonomy=Taxonomy('b', 'abcde'))
    with pytest.raises(CheckpointError, match=f'^{trained}: cannot resume'):
        runner.train()


def test_missing_tensor_is_refused(build, trained):
    def change(checkpoint):
        del checkpoint['state_dict']['backbone.0.bias']
        checkpoint['meta'] = dict(dataset_meta=None)

    path = changed(trained, change)
    with pytest.raises(CheckpointError) as caught:
        build(load_from=path).test()
    assert str(caught.value) == (
        f'{path}: cannot test with this config: backbone.0.bias is not in the checkpoint; '
        'use the config that the checkpoint was trained with'
    )


@pytest.mark.parametrize(
    ('key', 'lacks'),
    [
        ('optimizer', "it has no 'optimizer'"),
        ('message_hub', "it has no 'message_hub'"),
        ('meta', 'it does not say how long it was trained'),
    ],
)
def test_resume_needs_the_state_of_training(build, trained, key, lacks):
    path = changed(trained, lambda checkpoint: checkpoint.pop(key) and None)
    with pytest.raises(CheckpointError, match=f'^{path}: cannot be resumed, {lacks}'):
        build(load_from=path, resume=True).train()
    build(load_from=path).train()


@pytest.mark.parametrize('task', ['test', 'train'])
def test_same_number_of_other_classes(build, trained, task):
    other = Taxonomy('garments', ('shirt', 'skirt', 'vest'))
    runner = build(load_from=trained, taxonomy=other, resume=task == 'train')
    with pytest.raises(CheckpointError) as caught:
        getattr(runner, task)()
    assert "label 1 is 'vest' in the checkpoint but 'skirt' in the data;" in str(caught.value)
    build(load_from=trained, taxonomy=other).train()  # a start, not a continuation


def test_a_renamed_class_is_the_same(build, trained):
    def change(checkpoint):
        checkpoint['meta']['dataset_meta']['classes'] = ('Shirt', 'tank top', 'skirt')

    build(load_from=changed(trained, change)).test()


GROUPS = {'upper': ['shirt', 'vest'], 'lower': ['skirt']}


@pytest.mark.parametrize(
    ('groups', 'problem'),
    [
        (
            {'upper': ['shirt'], 'lower': ['vest', 'skirt']},
            "'vest' is in group 0 ('upper') in the checkpoint but 1 ('lower') in the data",
        ),
        (
            {'upper': {'long': ['shirt'], 'short': ['vest']}, 'lower': ['skirt']},
            'there are 2 levels in the checkpoint but 3 in the data',
        ),
    ],
)
def test_other_groups_of_the_same_classes(build, tmp_path, groups, problem):
    build(taxonomy=Taxonomy.load(dict(name='garments', groups=GROUPS))).train()
    trained = str(tmp_path / 'work' / 'iter_2.pth')
    other = Taxonomy.load(dict(name='garments', groups=groups))
    assert other.classes == CLASSES
    with pytest.raises(CheckpointError) as caught:
        build(load_from=trained, resume=True, taxonomy=other).train()
    assert str(caught.value).startswith(f'{trained}: cannot resume with this config: {problem};')
    build(load_from=trained, taxonomy=other).train()  # a start, not a continuation
    build(load_from=trained, taxonomy=other).test()  # only how the results are told


def test_groups_of_other_names_are_the_same(build, tmp_path):
    build(taxonomy=Taxonomy.load(dict(name='garments', groups=GROUPS))).train()
    renamed = Taxonomy.load(
        dict(name='clothes', groups=dict(zip(('top', 'bottom'), GROUPS.values(), strict=True)))
    )
    trained = str(tmp_path / 'work' / 'iter_2.pth')
    build(load_from=trained, resume=True, taxonomy=renamed).train()


def test_a_checkpoint_without_groups_can_go_on(build, trained):
    def change(checkpoint):
        del checkpoint['meta']['dataset_meta']['taxonomy']

    build(load_from=changed(trained, change), resume=True).train()


def plain(state_dict):
    return state_dict


def prefixed(state_dict):
    return dict(state_dict={f'module.{key}': value for key, value in state_dict.items()})


@pytest.mark.parametrize('form', [plain, prefixed])
def test_forms_of_checkpoints(build, trained, form):
    path = changed(trained, lambda checkpoint: form(checkpoint['state_dict']))
    runner = build(load_from=path)
    runner.test()
    assert report_of(runner) == 'Checkpoint gives 9 of the 9 tensors of the model'


@pytest.mark.parametrize(
    ('content', 'message'),
    [([1, 2], 'holds a list, not a checkpoint'), (None, 'not a whole checkpoint')],
)
def test_no_checkpoint_at_all(build, tmp_path, content, message):
    path = tmp_path / 'a.pth'
    path.write_bytes(b'') if content is None else torch.save(content, path)
    with pytest.raises(CheckpointError, match=f'^{path}: {message}') as caught:
        build(load_from=str(path)).test()
    assert '\n' not in str(caught.value)


def test_wrapped_models(tmp_path):
    class Wrapper(MMDistributedDataParallel):
        def __init__(self, module):
            nn.Module.__init__(self)
            self.module = module

    for wrap in (
        lambda model: model,
        Wrapper,
        lambda model: DetTTAModel(module=model),
        lambda model: Wrapper(DetTTAModel(module=model)),
    ):
        messages = []
        runner = SimpleNamespace(
            model=wrap(Tiny(5)),
            _resume=False,
            _load_from='a.pth',
            logger=SimpleNamespace(info=messages.append),
            test_dataloader=SimpleNamespace(dataset=Data(TAXONOMY)),
        )
        hook = CheckpointReportHook()
        hook.after_load_checkpoint(runner, dict(state_dict=Tiny(5).state_dict()))
        hook.before_test(runner)
        assert messages == ['Checkpoint gives 9 of the 9 tensors of the model']
        checkpoint = dict(state_dict=Tiny(3).state_dict())
        hook.after_load_checkpoint(runner, checkpoint)
        assert 'roi_head.fc_cls.weight' not in checkpoint['state_dict']
        with pytest.raises(CheckpointError, match='a.pth: cannot test'):
            hook.before_test(runner)
