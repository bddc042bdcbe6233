"""RTMDet and DINO with outputs for groups, on the command line: a run, and what is refused."""

from __future__ import annotations

import copy
import json

import pytest
from mmdet.registry import MODELS

from mmdet_multigrain.apis.roi_outputs import head_configs
from mmdet_multigrain.checks.anchors import anchor_coverage
from mmdet_multigrain.engine.checkpoint.read import read_checkpoint
from mmdet_multigrain.engine.checkpoint.surgery import add_classes
from mmdet_multigrain.engine.incomplete_labels import _check_model
from mmdet_multigrain.evaluation import read_result
from mmdet_multigrain.export.plain import PlainDetector
from mmdet_multigrain.export.stock_model import stock_model
from mmdet_multigrain.launch import load_config
from mmdet_multigrain.models.roi_heads.lineage import add_lineage
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import MultigrainError

from .conftest import NUM_VAL, REPOSITORY, call, options

CONFIGS = REPOSITORY / 'configs' / 'multigrain'
RTMDET = (
    'nodes_rtmdet-tiny_custom',
    (
        'model.backbone.widen_factor=0.125',
        'model.neck.in_channels=[32,64,128]',
        'model.neck.out_channels=16',
        'model.bbox_head.in_channels=16',
        'model.bbox_head.feat_channels=16',
        'train_pipeline.2.scale=(64,80)',
        'train_pipeline.3.crop_size=(64,64)',
        'test_pipeline.1.scale=(64,80)',
    ),
)
DINO = (
    'nodes_dino_r50_custom',
    (
        'model.backbone.base_channels=8',
        'model.backbone.frozen_stages=-1',
        'model.backbone.norm_eval=False',
        'model.backbone.norm_cfg.requires_grad=True',
        'model.neck.in_channels=[64,128,256]',
        'model.encoder.num_layers=1',
        'model.decoder.num_layers=2',
        'model.num_queries=30',
        'model.test_cfg.max_per_img=50',
        'train_pipeline.2.scales=[(64,80)]',
        'test_pipeline.1.scale=(64,80)',
    ),
)
DATA = (
    'train_ann=annotations/train.json',
    'val_ann=annotations/validation.json',
    'images=train/image/',
    'val_images=validation/image/',
    'taxonomy=deepfashion2',
    'load_from=None',
)


def more(kind, data, *others):
    """--cfg-options for a small one-stage detector; those for two-stage ones are left out."""
    name, small = kind
    first, *given = options(data)
    return [first, *(one for one in given if 'model.' not in one), *DATA, *small, *others]


def train(kind, data, work_dir, *others):
    config = CONFIGS / f'{kind[0]}.py'
    arguments = ('--seed', 0, '--work-dir', work_dir, *more(kind, data, *others))
    screen = call('train', config, *arguments)
    assert screen.status == 0, screen.out[-2000:] + screen.err
    return screen


@pytest.fixture(scope='module')
def trained(tmp_path_factory, garment_data):
    """One iteration of RTMDet, and a validation."""
    work_dir = tmp_path_factory.mktemp('nodes')
    limits = ('train_cfg.max_iters=1', 'train_cfg.val_interval=1')
    return work_dir, train(RTMDET, garment_data, work_dir, *limits)


def test_an_iteration(trained):
    work_dir, screen = trained
    assert screen.iterations == [(1, 1)]
    assert 'loss_cls: ' in screen.losses[0] and 'loss_bbox: ' in screen.losses[0]
    assert 'one-piece dress' in screen.out and 'leaf ' in screen.out
    checkpoint = read_checkpoint(work_dir / 'iter_1.pth')
    facts = checkpoint['meta']['trained_as']['bbox_head']
    assert facts['type'] == 'NodeRTMDetSepBNHead' and facts['coarse_weight'] == 1
    assert Taxonomy.load(facts['taxonomy']) == Taxonomy.load('deepfashion2')
    rows = checkpoint['state_dict']['bbox_head.rtm_cls.0.weight']
    assert len(rows) == 13 + 3


@pytest.fixture(scope='module', params=[RTMDET, DINO], ids=['rtmdet', 'dino'])
def built(request, garment_data):
    """The config, resolved, and the model."""
    kind = request.param
    values = dict(one.split('=', 1) for one in (*DATA, *kind[1]) if one.startswith('train_ann'))
    values |= dict(data_root=str(garment_data), taxonomy='deepfashion2', images='train/image/')
    cfg = load_config(CONFIGS / f'{kind[0]}.py', values)
    return cfg, MODELS.build(copy.deepcopy(cfg.model))  # a detector changes its config


def refusals(cfg, model):
    taxonomy = Taxonomy.load('deepfashion2')
    data = dict(classes=taxonomy.classes, taxonomy=taxonomy.to_dict())
    state = dict(state_dict=model.state_dict(), meta=dict(dataset_meta=data))
    kind = 'NodeDINO' if 'DINO' in cfg.model.type else 'RTMDet'
    head = 'NodeDINO' if kind == 'NodeDINO' else 'NodeRTMDet'
    return {
        f'model of type {kind} has no RoI head; lineages need': lambda: add_lineage(
            cfg.model, taxonomy
        ),
        f'model of type {kind} has box heads of type none; only': lambda: head_configs(cfg.model),
        f'is a {head}.* of mmdet_multigrain.*, for which MMDetection has no equal': (
            lambda: stock_model(cfg.model.to_dict(), model)
        ),
        f'the model is not a plain TwoStageDetector .*{kind}': lambda: PlainDetector(model),
        'a.pth: has no box head with fc_cls; take a two-stage': lambda: add_classes(
            state, taxonomy, path='a.pth'
        ),
        f'but the {kind} learns the others as background; take a two-stage': lambda: _check_model(
            model, 'train.json: annotates only some classes, but'
        ),
        'model has no rpn_head: anchors are counted for': lambda: anchor_coverage(cfg),
    }


def test_what_cannot_work_is_refused(built):
    for said, run in refusals(*built).items():
        with pytest.raises(MultigrainError, match=said) as caught:
            run()
        assert '\n' not in str(caught.value)


def test_fusion_is_not_an_argument(garment_data):
    values = {'data_root': str(garment_data), 'model.bbox_head.fusion.type': 'NorCal'}
    with pytest.raises(MultigrainError, match="model.bbox_head .* takes no 'fusion'"):
        load_config(CONFIGS / f'{RTMDET[0]}.py', values)


@pytest.mark.long
@pytest.mark.parametrize('kind', [RTMDET, DINO], ids=['rtmdet', 'dino'])
def test_train_resume_test_and_predict(kind, garment_data, tmp_path):
    config, given = CONFIGS / f'{kind[0]}.py', more(kind, garment_data)
    whole = train(kind, garment_data, tmp_path / 'whole')
    assert whole.iterations == [(1, 2), (2, 2)]
    resumed = tmp_path / 'resumed'
    resumed.mkdir()
    (resumed / 'iter_1.pth').write_bytes((tmp_path / 'whole' / 'iter_1.pth').read_bytes())
    arguments = ('--seed', 0, '--work-dir', resumed, '--resume', *more(kind, garment_data))
    again = call('train', config, *arguments)
    assert again.status == 0 and again.losses == whole.losses[1:], again.err
    ckpt = tmp_path / 'whole' / 'iter_2.pth'
    for level, protocol in (
        (None, 'leaf'),
        ('coarse', 'group (coarse, own output)'),
        ('object', 'group (object, own output)'),
    ):
        out = tmp_path / f'{level}.json'
        asked = [] if level is None else ['--level', level]
        work = ('--work-dir', tmp_path / 'test', '--out', out)
        result = call('test', config, ckpt, *work, *asked, *given)
        assert result.status == 0, result.err
        assert protocol in result.out
        assert read_result(out).summary.num_images == NUM_VAL
        photos = garment_data / 'validation' / 'image'
        out = tmp_path / f'predicted_{level}'
        model = ['--cfg-options', *kind[1]]
        flags = ('--no-pictures', '--score-thr', 0, *asked, *model)
        result = call('predict', photos, config, ckpt, '--out', out, *flags)
        assert result.status == 0, result.err
        found = json.loads((out / 'predictions.json').read_bytes())['images']
        names = {one['class'] for image in found for one in image['detections']}
        wanted = Taxonomy.load('deepfashion2')
        assert (
            names
            <= {
                None: {*wanted.classes},
                'coarse': {*wanted.group_names(0)},
                'object': {'object'},
            }[level]
        )
        assert names
    for command in (
        ['test', config, ckpt, '--lineages', '--work-dir', tmp_path / 'lineages', *given],
        ['calibrate', config, ckpt, '--out', tmp_path / 'theta.json', *given],
        ['predict', photos, config, ckpt, '--out', tmp_path / 'h', '--hedge', '0.5', *model],
    ):
        assert 'has no RoI head; lineages need a two-stage detector' in call(*command).error()
    exported = ['--out', tmp_path / 'exported', *model]
    assert 'for which MMDetection has no equal' in (
        call('export', config, ckpt, '--to', 'mmdet', *exported).error()
    )
    swept = call('analysis_tools/sweep_scores', config, ckpt, '--out', tmp_path / 'sweep', *given)
    assert 'has box heads of type none' in swept.error()
