"""Outputs of RoIs and what is made of them, against the detections of the RoI heads themselves."""

from __future__ import annotations

import copy
import signal
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config

from mmdet_multigrain.apis.roi_outputs import (
    RoIOutputs,
    _create,
    _fill,
    _open,
    build_head,
    head_names,
    with_fusion,
)
from mmdet_multigrain.apis.score_sweep import Cap, ScoreSweep
from mmdet_multigrain.engine.hooks.preflight_hook import give_counts
from mmdet_multigrain.evaluation import GroundTruth
from mmdet_multigrain.models import HierarchicalCrossEntropyLoss
from mmdet_multigrain.utils.errors import FileError

from ..models.bbox_heads.made_heads import SMALL
from ..models.bbox_heads.test_multi_grained_in_roi_heads import one_image, roi_head_config

COUNTS = (50, 3, 7, 1, 20)
FUSIONS = (
    None,
    dict(type='ConditionalFusion', gamma=0.7),
    dict(type='ProductFusion', gamma=1),
    dict(type='NorCal', gamma=0.5, center='none'),
    dict(type='NorCal', gamma=0.5, within_groups=True, fusion=dict(type='ProductFusion')),
)


def make_roi_head(garments, kind, fusion, *, agnostic):
    head = dict(type='MultiGrainedBBoxHead', taxonomy=garments.to_dict(), **SMALL)
    head |= dict(reg_class_agnostic=agnostic)
    model = with_fusion(dict(type='F', roi_head=roi_head_config(kind, head)), fusion)
    model['roi_head'].test_cfg.update(score_thr=0.02, max_per_img=12)
    torch.manual_seed(0)
    roi_head = MODELS.build(copy.deepcopy(model['roi_head']))
    roi_head.init_weights()
    with torch.no_grad():
        for name, parameter in roi_head.named_parameters():
            if 'fc_cls' in name:
                parameter.mul_(100)
    give_counts(roi_head, COUNTS)
    return roi_head.eval(), model


def inputs():
    torch.manual_seed(1)
    sample, proposals = one_image()
    sample.set_metainfo(dict(scale_factor=(0.7, 0.6)))
    features, few = [torch.randn(1, 4, 16, 16) for _ in range(2)], proposals[:2]
    return [sample, sample], [(one,) for one in features], [proposals, few]


@pytest.mark.parametrize(
    ('kind', 'agnostic'),
    [('StandardRoIHead', False), ('StandardRoIHead', True), ('CascadeRoIHead', True)],
)
def test_scores_of_kept_outputs_are_those_of_a_test(garments, kind, agnostic):
    samples, features, proposals = inputs()
    shapes = (2, 5, 12), (2, 5, 4 if agnostic else 20)
    arrays = [np.full(shape, np.nan, np.float32) for shape in shapes]
    outputs = RoIOutputs((0, 1), np.full(2, -1, np.int32), *arrays, garments)
    roi_head, model = make_roi_head(garments, kind, FUSIONS[1], agnostic=agnostic)
    images = iter(range(2))
    detector = SimpleNamespace(
        data_preprocessor=lambda batch, training: dict(inputs=batch, data_samples=samples[:1]),
        extract_feat=lambda batch: features[batch],
        rpn_head=SimpleNamespace(predict=lambda *_, rescale: [proposals[next(images)]]),
        roi_head=roi_head,
    )
    _fill(outputs, detector, range(2), 0)
    assert outputs.counts.tolist() == [3, 2] and np.isnan(outputs.logits[1, 2:]).all()
    truth = GroundTruth.from_annotations(range(2), [], range(5), sets=garments.labels.sets)
    rcnn, loss = model['roi_head'].test_cfg, HierarchicalCrossEntropyLoss(garments)
    options = dict(caps=[Cap(12, 100)], class_counts=COUNTS)
    sweep = ScoreSweep(outputs, loss, rcnn, truth, **options)
    for fusion in FUSIONS:
        found = sweep.detect(fusion)
        tested = make_roi_head(garments, kind, fusion, agnostic=agnostic)[0]
        for number, (_, labels, boxes, scores) in enumerate(found):
            with torch.no_grad():
                (expected,) = tested.predict(
                    features[number], [proposals[number]], samples[:1], rescale=True
                )
            assert len(expected) > 3
            assert np.array_equal(labels, expected.labels), fusion
            assert np.array_equal(scores, expected.scores)
            assert np.array_equal(boxes, expected.bboxes)


def test_ctrl_c_ends_after_the_images_at_hand(garments):
    def batches():
        signal.raise_signal(signal.SIGINT)
        yield from range(2)

    outputs = RoIOutputs((5, 6), np.array([-1, -1]), None, None, garments)
    none = SimpleNamespace(scores=())
    detector = SimpleNamespace(
        data_preprocessor=lambda number, training: dict(data_samples=[], inputs=None),
        extract_feat=lambda inputs: None,
        rpn_head=SimpleNamespace(predict=lambda *_, rescale: None),
        roi_head=SimpleNamespace(
            bbox_head=SimpleNamespace(loss_cls=SimpleNamespace()),
            predict_bbox=lambda *_, rescale: [none],
        ),
    )
    with pytest.raises(KeyboardInterrupt):
        _fill(outputs, detector, batches(), 0)
    assert outputs.counts.tolist() == [0, -1]


@pytest.mark.parametrize('spare', [0, -1])
def test_files_are_made_where_they_fit(garments, tmp_path, monkeypatch, capsys, spare):
    _, model = make_roi_head(garments, 'StandardRoIHead', None, agnostic=False)
    model['test_cfg'] = dict(rpn=dict(max_per_img=7))
    size = 4 * 2 * 7 * (12 + 20)  # logits of 12 outputs, boxes of 5 classes, for 7 RoIs of 2 images
    usage = SimpleNamespace(free=size + spare)
    monkeypatch.setattr('mmdet_multigrain.apis.roi_outputs.shutil.disk_usage', lambda _: usage)
    arguments = Config(dict(model=model)), tmp_path, dict(checkpoint='a'), [5, 6]
    if spare < 0:
        with pytest.raises(FileError, match='0 MB do not fit in 0 MB of disk'):
            _create(*arguments)
        assert not [*tmp_path.iterdir()]
    else:
        _create(*arguments)
        outputs = _open(tmp_path, garments)
        assert outputs.logits.shape == (2, 7, 12) and outputs.boxes.shape == (2, 7, 20)
        assert outputs.image_ids == (5, 6) and outputs.counts.tolist() == [-1, -1]
        assert 'RoIs of 2 images, up to 7 each' in capsys.readouterr().out


@pytest.mark.parametrize('kind', ['StandardRoIHead', 'CascadeRoIHead'])
def test_names_of_heads_are_those_of_their_counts(garments, kind):
    roi_head, model = make_roi_head(garments, kind, FUSIONS[3], agnostic=True)
    names = [f'{name}.loss_cls.fusion.class_counts' for name in head_names(model)]
    assert names == [f'roi_head.{key}' for key in roi_head.state_dict() if 'class_counts' in key]


def test_the_last_head_of_a_cascade_is_built_alone(garments):
    _, model = make_roi_head(garments, 'CascadeRoIHead', FUSIONS[3], agnostic=True)
    head = model['roi_head']['bbox_head']
    model['roi_head']['bbox_head'] = [head | dict(reg_decoded_bbox=last) for last in (False, True)]
    built = build_head(model)
    assert built.reg_decoded_bbox and built.loss_cls.fusion is None
