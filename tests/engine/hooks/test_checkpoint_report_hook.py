"""What a checkpoint gives, and where a misfit stops the run; real Runner, tiny model."""

from types import SimpleNamespace

import pytest
import torch
from mmdet.models import DetTTAModel, Shared2FCBBoxHead
from mmdet.registry import HOOKS
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.model import BaseModel, MMDistributedDataParallel
from torch import nn
from torch.utils.data import DataLoader

from mmdet_multigrain.datasets import taxonomy_metainfo
from mmdet_multigrain.engine import CheckpointReportHook
from mmdet_multigrain.engine.runner.runner import MultigrainRunner
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import CheckpointError, ConfigError

CLASSES = ('shirt', 'vest', 'skirt')
TAXONOMY = Taxonomy('garments', CLASSES, aliases={'vest': ['tank top']})


class Tiny(BaseModel):
    """Two layers under the names of a detector."""

    def __init__(self, num_classes=3):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4))
        self.roi_head = nn.Module()
        self.roi_head.fc_cls = nn.Linear(4, num_classes + 1)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        scores = self.roi_head.fc_cls(self.backbone(inputs))
        return dict(loss=scores.square().mean()) if mode == 'loss' else [scores]


class Data:
    """Six inputs of a data set with the classes of a taxonomy."""

    def __init__(self, taxonomy):
        self.metainfo = taxonomy_metainfo(taxonomy)

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return dict(inputs=torch.tensor([index, 1.0]))


class Count(BaseMetric):
    """A metric that needs no ground truth."""

    def process(self, data_batch, data_samples):
        self.results.append(1)

    def compute_metrics(self, results):
        return dict(count=len(results))


@pytest.fixture
def build(tmp_path):
    """Build a runner that trains 2 iterations, validates and saves; with the log of the hook."""
    count = 0

    def build_runner(num_classes=3, taxonomy=TAXONOMY, **kwargs):
        nonlocal count
        count += 1
        torch.manual_seed(count)
        loader = DataLoader(Data(taxonomy), batch_size=3)
        runner = MultigrainRunner(
            model=Tiny(num_classes),
            # A new run refuses the folder of an earlier one.
            work_dir=str(
                tmp_path / ('work' if count == 1 or kwargs.get('resume') else f'work{count}')
            ),
            train_dataloader=loader,
            train_cfg=dict(by_epoch=False, max_iters=2),
            val_dataloader=loader,
            val_cfg=dict(),
            val_evaluator=Evaluator(Count()),
            test_dataloader=loader,
            test_cfg=dict(),
            test_evaluator=Evaluator(Count()),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
            default_hooks=dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2)),
            custom_hooks=[CheckpointReportHook()],
            default_scope='mmdet',
            experiment_name=f'{tmp_path.name}_{count}',
            **kwargs,
        )
        messages = runner.messages = []
        info = runner.logger.info
        runner.logger.info = lambda message: (messages.append(message), info(message))
        return runner

    return build_runner


@pytest.fixture
def trained(build, tmp_path):
    """Path of a checkpoint with optimizer, of 3 classes."""
    build().train()
    return str(tmp_path / 'work' / 'iter_2.pth')


def changed(path, change, name='changed.pth'):
    """Path of a changed copy of a checkpoint."""
    checkpoint = torch.load(path, weights_only=False)
    checkpoint = change(checkpoint) or checkpoint
    path = path.replace('iter_2.pth', name)
    torch.save(checkpoint, path)
    return path


def report_of(runner):
    return next(message for message in runner.messages if message.startswith('Checkpoint gives'))


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


def unmatched(checkpoint):
    state = checkpoint['state_dict']
    checkpoint['state_dict'] = {f'student.{name}': value for name, value in state.items()}


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


@pytest.mark.parametrize('task', ['test', 'val'])
def test_a_test_says_what_is_missing_instead(build, trained, task):
    with pytest.raises(CheckpointError, match='backbone.0.weight is not in the checkpoint'):
        getattr(build(load_from=changed(trained, unmatched)), task)()


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


@pytest.mark.parametrize(
    ('parts', 'message'), [(dict(parameters=True), FROZEN), (dict(norm=True), UNLEARNED)]
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
