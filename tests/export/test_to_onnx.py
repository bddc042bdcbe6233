"""Detections of an ONNX file in onnxruntime, for image sizes that the trace has not seen."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from mmdet_multigrain.engine.hooks.preflight_hook import give_counts
from mmdet_multigrain.export.compare import Found, nearest_difference
from mmdet_multigrain.export.plain import PlainDetector
from mmdet_multigrain.export.to_onnx import TOLERANCE, onnx_bytes, open_session
from mmdet_multigrain.models.roi_heads.lineage import add_lineage
from mmdet_multigrain.taxonomy import Taxonomy

from .conftest import build
from .test_plain import detections, inputs, samples


@pytest.mark.parametrize(
    ('variant', 'options', 'tells_lineages'),
    [
        ('wgroup', {}, False),
        ('wgroup', {'model.roi_head.bbox_head.fusion': dict(type='ConditionalFusion')}, True),
        (
            'wgroup',
            {
                'model.roi_head.bbox_head.fusion': dict(
                    type='NorCal', within_groups=True, fusion=dict(type='ProductFusion')
                )
            },
            False,
        ),
        ('merged', {'model.roi_head.bbox_head.reg_per': 'group'}, False),
        ('baseline', {}, True),
    ],
)
def test_any_size_gives_the_detections_of_mmdetection(
    variant, options, tells_lineages, small_config, pictures, tmp_path
):
    config = small_config(variant, **{'model.test_cfg.rcnn.score_thr': 0.0}, **options)
    if tells_lineages:
        add_lineage(config.model, Taxonomy.load('deepfashion2'))
    model = build(config.model)
    give_counts(model, range(1, 14))
    path = tmp_path / 'detector.onnx'
    path.write_bytes(onnx_bytes(PlainDetector(model)))
    onnx.checker.check_model(path)
    graph = onnx.load(path)
    assert [(one.domain, one.version) for one in graph.opset_import] == [('', 17)]
    axes = {
        one.name: [axis.dim_param or axis.dim_value for axis in one.type.tensor_type.shape.dim]
        for one in (*graph.graph.input, *graph.graph.output)
    }
    assert axes.pop('boxes')[0] == 'detections'
    assert axes.pop('lineage', None) == (['detections', 2] if tells_lineages else None)
    assert axes == dict(
        image=[3, 'height', 'width'],
        scale_factor=[2],
        score_thr=[],
        scores=['detections'],
        labels=['detections'],
    )
    session = open_session(path)
    assert session.get_session_options().intra_op_num_threads == torch.get_num_threads()
    batch = samples(config, pictures)
    assert len({sample['inputs'].shape for sample in batch}) == len(batch)
    for score_thr, least in ((0.0, 350), (0.05, 100), (1.0, 0)):
        model.roi_head.test_cfg.score_thr = score_thr
        theirs = []
        for sample in batch:
            names = ('image', 'scale_factor', 'score_thr')
            values = (value.float().numpy() for value in inputs(sample, score_thr))
            theirs.append(Found(*session.run(None, dict(zip(names, values, strict=True)))))
        seen = nearest_difference(detections(model, batch), theirs, slack=TOLERANCE, at_most=100)
        assert max(seen.box, seen.score) < TOLERANCE and seen.alone == 0
        assert seen.detections >= least


def test_no_proposal_gives_no_detection(small_config, tmp_path):
    """A minimal size that no proposal reaches leaves every step without rows."""
    config = small_config(**{'model.test_cfg.rpn.min_bbox_size': 1000})
    path = tmp_path / 'detector.onnx'
    path.write_bytes(onnx_bytes(PlainDetector(build(config.model))))
    feed = dict(
        image=torch.zeros(3, 50, 40).numpy(),
        scale_factor=np.ones(2, np.float32),
        score_thr=np.array(0, np.float32),
    )
    boxes, scores, labels = open_session(path).run(None, feed)
    assert boxes.shape == (0, 4) and scores.shape == labels.shape == (0,)
