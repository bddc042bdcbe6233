"""The restated detector detects what MMDetection detects, and goes to ONNX as it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmdet.utils import get_test_pipeline_cfg
from mmengine.dataset import pseudo_collate

from mmdet_multigrain.export.compare import Found, difference, nearest_difference
from mmdet_multigrain.export.plain import PlainDetector
from mmdet_multigrain.models.roi_heads.lineage import add_lineage
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ExportError

from .conftest import build

HEAD = 'model.roi_head.bbox_head.'
PIXELS = 1e-4  # MMDetection multiplies by the inverse of the scale, in double precision
RESIZE = [dict(type='Resize', scale=(160, 96), keep_ratio=True)]


def samples(config, pictures):
    """The pictures as the test pipeline hands them on, resized so that both scales differ."""
    load, _, *rest = get_test_pipeline_cfg(config)
    pipeline = Compose([dict(type='LoadImageFromNDArray'), *RESIZE, *rest])
    return [pipeline(dict(img=picture, img_id=0)) for picture in pictures]


@torch.no_grad()
def detections(model, batch):
    found = [
        model.test_step(pseudo_collate([sample]))[0].pred_instances.numpy() for sample in batch
    ]
    return [Found(item.bboxes, item.scores, item.labels, item.get('lineage')) for item in found]


def inputs(sample, score_thr):
    scale = sample['data_samples'].scale_factor
    return sample['inputs'], torch.tensor(scale), torch.tensor(score_thr)


@torch.no_grad()
def restated(plain, batch, score_thr):
    return [
        Found(*(value.numpy() for value in plain(*inputs(sample, score_thr)))) for sample in batch
    ]


def test_parts_that_differ_in_training_only(small_config, pictures):
    config = small_config()
    stock = PlainDetector(build(config.model))
    config.model.rpn_head.update(type='Float32RPNHead', unannotated_thr=0.5)
    config.model.roi_head.type = 'FederatedStandardRoIHead'
    batch = samples(config, pictures[:1])
    ((mine,), (theirs,)) = (
        restated(plain, batch, 0.05) for plain in (PlainDetector(build(config.model)), stock)
    )
    assert len(mine.scores)
    for name in ('boxes', 'scores', 'labels'):
        assert np.array_equal(getattr(mine, name), getattr(theirs, name))


@pytest.mark.parametrize('score_thr', [0.0, 0.05, 0.3, 1.0])
@pytest.mark.parametrize('variant', ['wgroup', 'merged', 'baseline'])
def test_detections_are_those_of_mmdetection(variant, score_thr, small_config, pictures):
    config = small_config(variant, **{'model.test_cfg.rcnn.score_thr': score_thr})
    model = build(config.model)
    batch = samples(config, pictures)
    expected = detections(model, batch)
    seen = difference(expected, restated(PlainDetector(model), batch, score_thr))
    assert seen.box < PIXELS and seen.score == 0
    assert {0.0: 350, 0.05: 100, 0.3: 10, 1.0: 0}[score_thr] <= seen.detections
    assert len({label for found in expected for label in found.labels.tolist()}) >= (
        5 if score_thr < 0.3 else 0
    )


@pytest.mark.parametrize('variant', ['wgroup', 'baseline'])
def test_lineages_are_those_of_the_model(variant, small_config, pictures):
    config = small_config(variant, **{'model.test_cfg.rcnn.score_thr': 0.0})
    add_lineage(config.model, Taxonomy.load('deepfashion2'))
    model = build(config.model)
    batch = samples(config, pictures)
    ours, theirs = detections(model, batch), restated(PlainDetector(model), batch, 0.0)
    assert difference(ours, theirs).detections >= 350
    for mine, other in zip(ours, theirs, strict=True):
        assert np.array_equal(mine.lineage, other.lineage) and mine.lineage.shape[1] == 2


@pytest.mark.parametrize(
    'options',
    [
        {HEAD + 'reg_class_agnostic': True},
        {HEAD + 'reg_per': 'group'},
        {HEAD + 'loss_cls.fine_loss': dict(type='SeesawLoss')},
        {'model.test_cfg.rpn.nms_pre': 40, 'model.test_cfg.rpn.min_bbox_size': 12},
        {'model.test_cfg.rcnn.max_per_img': 7, 'model.test_cfg.rpn.max_per_img': 30},
        {'model.data_preprocessor.bgr_to_rgb': False, 'model.data_preprocessor.pad_value': 3},
        {'model.test_cfg.rpn.nms_pre': 0, 'model.test_cfg.rpn.min_bbox_size': -1},
        {'model.test_cfg.rcnn.nms.iou_threshold': 0.2, 'model.test_cfg.rpn.nms.iou_threshold': 0.4},
        {HEAD + 'bbox_coder.target_means': [0.1, -0.2, 0.3, 0.1]},
    ],
    ids=[
        'class-agnostic',
        'regressors of groups',
        'seesaw',
        'few proposals',
        'few detections',
        'other preprocessing',
        'all proposals',
        'other suppression',
        'other means of boxes',
    ],
)
def test_other_settings(options, small_config, pictures):
    config = small_config(**{'model.test_cfg.rcnn.score_thr': 0.0}, **options)
    model = build(config.model)
    batch = samples(config, pictures)
    expected = detections(model, batch)
    seen = difference(expected, restated(PlainDetector(model), batch, 0.0))
    assert seen.box < PIXELS and seen.score == 0
    assert seen.detections >= 28


@torch.no_grad()
def test_features_are_from_the_level_of_a_box(small_config):
    plain = PlainDetector(build(small_config().model))
    features = plain.model.neck(plain.model.backbone(torch.rand(1, 3, 480, 480)))
    sides = torch.tensor([470.0, 20.0, 130.0, 300.0, 90.0, 240.0])
    boxes = torch.stack(
        [torch.full_like(sides, 5), torch.full_like(sides, 8), 5 + sides, 8 + sides], 1
    )
    extractor = plain.model.roi_head.bbox_roi_extractor
    rois = torch.cat([torch.zeros(len(sides), 1), boxes], 1)
    assert extractor.map_roi_levels(rois, 4).tolist() == [3, 0, 1, 2, 0, 2]
    expected = extractor(features[: extractor.num_inputs], rois)
    assert torch.equal(plain._roi_features(features, boxes), expected)


def test_limits_of_proposals_may_be_left_out(small_config, pictures):
    config = small_config(**{'model.test_cfg.rcnn.score_thr': 0.0})
    for key in ('nms_pre', 'min_bbox_size'):
        del config.model.test_cfg.rpn[key]
    model, batch = build(config.model), samples(config, pictures[:1])
    seen = difference(detections(model, batch), restated(PlainDetector(model), batch, 0.0))
    assert seen.box < PIXELS and seen.score == 0 and seen.detections


@torch.no_grad()
@pytest.mark.parametrize(('smallest', 'some'), [(0, False), (-1, True)])
def test_proposals_without_a_width_are_left_out(smallest, some, small_config):
    """Moved by many widths, all boxes end up on the right border."""
    config = small_config(**{'model.test_cfg.rpn.min_bbox_size': smallest})
    plain = PlainDetector(build(config.model))
    plain.model.rpn_head.rpn_reg.bias[::4] = 1e4
    features = plain.model.neck(plain.model.backbone(plain._preprocess(torch.zeros(3, 64, 96))))
    boxes = plain._propose(features, torch.tensor([96.0, 64.0]))
    assert (boxes[:, ::2] == 96).all() and bool(len(boxes)) == some


@pytest.mark.parametrize(
    'options',
    [{}, dict(mean=None, std=None), dict(bgr_to_rgb=False), dict(pad_size_divisor=7, pad_value=9)],
    ids=['as it is', 'no normalization', 'no swap', 'other padding'],
)
def test_images_are_prepared_as_by_mmdetection(options, small_config):
    options = {f'model.data_preprocessor.{key}': value for key, value in options.items()}
    model = build(small_config(**options).model)
    generator = torch.Generator().manual_seed(0)
    for size in ((50, 33), (64, 96), (33, 64)):
        image = torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8)
        expected = model.data_preprocessor(dict(inputs=[image]))['inputs']
        assert torch.equal(PlainDetector(model)._preprocess(image), expected)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'model.test_cfg.rcnn.nms': dict(type='soft_nms')}, 'test_cfg.rcnn.nms is'),
        (
            {'model.test_cfg.rpn.nms': dict(type='nms', iou_threshold=0.7, max_num=9)},
            'test_cfg.rpn.nms is',
        ),
        ({'model.rpn_head.loss_cls.use_sigmoid': False}, 'model.rpn_head is not a plain RPNHead'),
        ({'model.roi_head.bbox_roi_extractor.roi_layer.aligned': False}, 'roi_extractor is not'),
        ({'model.roi_head.bbox_roi_extractor.roi_layer.pool_mode': 'max'}, 'roi_extractor is not'),
        ({'model.roi_head.bbox_roi_extractor.featmap_strides': [4]}, 'roi_extractor is not'),
        ({HEAD + 'bbox_coder.clip_border': False}, 'bbox_head.bbox_coder'),
        ({HEAD + 'bbox_coder.add_ctr_clamp': True}, 'bbox_head.bbox_coder'),
        ({'model.rpn_head.bbox_coder.clip_border': False}, 'rpn_head.bbox_coder'),
        ({'model.rpn_head.bbox_coder.use_box_type': True}, 'rpn_head.bbox_coder'),
        ({'model.rpn_head.anchor_generator.use_box_type': True}, 'rpn_head.prior_generator'),
        (
            {
                'model.data_preprocessor.batch_augments': [
                    dict(type='BatchFixedSizePad', size=(64, 64))
                ]
            },
            'model.data_preprocessor is not a plain DetDataPreprocessor',
        ),
    ],
)
def test_what_is_not_restated_is_refused(options, message, small_config):
    with pytest.raises(ExportError, match=message):
        PlainDetector(build(small_config(**options).model))


def test_other_detectors_are_refused(small_config):
    model = build(small_config().model)
    for place, part in (
        ('', torch.nn.Linear(1, 1)),
        ('rpn_head', torch.nn.Identity()),
        ('roi_head', type('Own', (type(model.roi_head),), {})),
    ):
        if not place:
            with pytest.raises(ExportError, match=r'^the model is not a plain TwoStageDetector'):
                PlainDetector(part)
            continue
        kept = getattr(model, place)
        if isinstance(part, type):  # a subclass computes something else
            kind, kept.__class__ = kept.__class__, part
            with pytest.raises(ExportError, match='model.roi_head is not a plain .* [(]type Own'):
                PlainDetector(model)
            kept.__class__ = kind
        else:
            setattr(model, place, part)
            with pytest.raises(ExportError, match='model.rpn_head is not a plain RPNHead'):
                PlainDetector(model)
            setattr(model, place, kept)
    PlainDetector(model)
    kept, model.neck = model.neck, None
    with pytest.raises(ExportError, match='^the model is not'):
        PlainDetector(model)
    model.neck = kept
    model.roi_head.shared_head = torch.nn.Identity()
    with pytest.raises(ExportError, match='model.roi_head is not a plain StandardRoIHead'):
        PlainDetector(model)


def test_parts_that_are_missing_or_beside_are_refused(small_config):
    model = build(small_config().model)
    model.roi_head.mask_head = torch.nn.Identity()
    with pytest.raises(ExportError, match=r'^the model is not a plain TwoStageDetector'):
        PlainDetector(model)
    del model.roi_head.mask_head
    kept = model.roi_head.bbox_roi_extractor
    del model.roi_head.bbox_roi_extractor
    with pytest.raises(ExportError, match=r'SingleRoIExtractor of MMDetection \(type NoneType\)'):
        PlainDetector(model)
    model.roi_head.bbox_roi_extractor = kept
    PlainDetector(model)
    last, kept.roi_layers[-1] = kept.roi_layers[-1], torch.nn.Identity()
    with pytest.raises(ExportError, match='bbox_roi_extractor is not'):
        PlainDetector(model)
    kept.roi_layers[-1] = last
    del kept.roi_layers[2:]
    PlainDetector(model)  # two levels are enough


def test_suppression_is_nms_by_default(small_config):
    model = build(small_config().model)
    model.rpn_head.test_cfg.nms = dict(iou_threshold=0.7, split_thr=10)
    PlainDetector(model)
    model.rpn_head.test_cfg.nms = dict(type='nms')
    with pytest.raises(ExportError, match='test_cfg.rpn.nms is .*; only type nms'):
        PlainDetector(model)


def found(boxes, scores, labels):
    return Found(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(labels)
    )


def test_pairs_may_change_places_but_not_vanish():
    left = found([[0, 0, 9, 9], [20, 20, 30, 30], [0, 0, 9, 9]], [0.9, 0.9, 0.2], [1, 1, 2])
    right = found(
        [[20, 20, 30, 30.0005], [0, 0, 9, 9], [0, 0, 9, 9]], [0.9001, 0.9, 0.2], [1, 1, 2]
    )
    seen = nearest_difference([left], [right], slack=1e-3, at_most=100)
    assert (seen.detections, seen.alone) == (3, 0)
    assert seen.box == pytest.approx(5e-4, rel=0.01)
    assert seen.score == pytest.approx(1e-4, rel=0.01)
    other = found(right.boxes, right.scores, [1, 1, 3])
    fewer = found(right.boxes[:2], right.scores[:2], [1, 1])
    for wrong, pairs, alone in ((other, 2, 2), (fewer, 2, 1), (found([], [], []), 0, 3)):
        for pair in ((left, wrong), (wrong, left)):
            seen = nearest_difference([pair[0]], [pair[1]], slack=1e-3, at_most=100)
            assert (seen.detections, seen.alone) == (pairs, alone)
    assert '(2 more have no counterpart)' in str(
        nearest_difference([left], [other], slack=1e-3, at_most=100)
    )
    nodes = [np.array([[0.1, 0.9]] * 3), np.array([[0.1, 0.8]] * 3)]
    mine, other = (Found(left.boxes, left.scores, left.labels, lineage) for lineage in nodes)
    seen = nearest_difference([mine], [other], slack=1e-3, at_most=100)
    assert seen.alone == 0 and seen.score == pytest.approx(0.1)
    with pytest.raises(ExportError, match='sees other objects in picture 0'):
        difference([left], [fewer])


def test_only_the_last_places_of_full_lists_may_differ():
    boxes = [[0, 0, 9, 9], [20, 20, 30, 30]]
    left, right = found(boxes, [0.9, 0.3], [0, 1]), found(boxes, [0.9, 0.3], [0, 2])
    assert nearest_difference([left], [right], slack=1e-3, at_most=2).alone == 0
    assert nearest_difference([left], [right], slack=1e-3, at_most=3).alone == 2
