"""The files for stock MMDetection: what they hold, and that other detections are noticed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import mmdet
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmdet_multigrain.export import to_mmdet as module
from mmdet_multigrain.export.compare import Difference, Found
from mmdet_multigrain.export.to_mmdet import (
    CHECKPOINT,
    CONFIG,
    check_mmdet,
    detect,
    export_mmdet,
    read_arrays,
)
from mmdet_multigrain.export.to_onnx import check_onnx, check_packages, export_onnx, resize_step
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ExportError
from mmdet_multigrain.visualization.palette import class_palette

from .conftest import build


@pytest.fixture
def detector(small_config):
    """A detector of random weights, and its config."""
    cfg = small_config(**{'model.test_cfg.rcnn.score_thr': 0.3})
    taxonomy = Taxonomy.load(cfg.taxonomy)
    return cfg, SimpleNamespace(model=build(cfg.model), taxonomy=taxonomy, answers=None)


def test_config_and_checkpoint(detector, pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a checkout may hold the drawn set
    cfg, trained = detector
    lines = export_mmdet(cfg, trained, pictures[:2], tmp_path)
    assert lines[0].startswith('no test data: ') and lines[1].startswith('checked: ')
    assert lines[1].endswith(' detections in 2 pictures: bit-equal')
    content = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    assert {*content} == {'meta', 'state_dict'}
    assert content['meta'] == dict(
        cfg=(tmp_path / CONFIG).read_text(),
        dataset_meta=dict(
            classes=trained.taxonomy.classes, palette=class_palette(trained.taxonomy)
        ),
        mmdet_version=mmdet.__version__,
    )
    stock = Config.fromfile(tmp_path / CONFIG)
    assert stock.default_scope == 'mmdet'
    assert stock.visualizer.vis_backends == [dict(type='LocalVisBackend')]
    assert stock.model.roi_head.bbox_head.type == 'Shared2FCBBoxHead'
    head = (tmp_path / CONFIG).read_text().splitlines()[:2]
    assert head[0].startswith('# A detector of stock MMDetection')
    assert "init_detector('detector.py', 'detector.pth', device='cpu')" in head[1]
    # One changed weight is noticed.
    content['state_dict']['roi_head.bbox_head.fc_reg.bias'] += 0.5
    torch.save(content, tmp_path / CHECKPOINT)
    with pytest.raises(ExportError, match='^the exported detector '):
        check_mmdet(trained, tmp_path, pictures[:2])


@pytest.mark.parametrize(('box', 'score'), [(1e-9, 0.0), (0.0, 1e-9)])
def test_boxes_and_scores_must_be_bit_equal(detector, tmp_path, monkeypatch, box, score):
    cfg, trained = detector
    seen = Difference(2, 9, box, score)
    monkeypatch.setattr(module, 'difference', lambda ours, theirs: seen)
    monkeypatch.setattr(module, 'detect', lambda model, samples: [])
    with pytest.raises(ExportError, match='does not detect the same'):
        export_mmdet(cfg, trained, [], tmp_path)


def test_detections_of_any_score_leave_the_model_as_it_was(detector, pictures):
    cfg, trained = detector
    config = trained.model.roi_head.test_cfg
    samples = read_arrays(cfg, pictures[:1])
    assert samples[0]['data_samples'].img_id == 0
    before = samples[0]['inputs'].clone()
    (everything,) = detect(trained.model, samples)
    assert config.score_thr == 0.3 and torch.equal(samples[0]['inputs'], before)
    assert everything.scores.min() < 0.3 and len(everything.labels) == 100
    broken = dict(samples[0], inputs=None)
    with pytest.raises(Exception):  # noqa: B017 (whatever a detector raises)
        detect(trained.model, [broken])
    assert config.score_thr == 0.3


class Session:
    """Returns what the detector itself finds, changed."""

    def __init__(self, model, samples, change):
        self.found, self.change = iter(detect(model, samples)), change

    def run(self, names, inputs):
        assert names is None and {*inputs} == {'image', 'scale_factor', 'score_thr'}
        assert inputs['image'].dtype == inputs['scale_factor'].dtype == np.float32
        assert inputs['score_thr'] == 0
        one = next(self.found)
        copied = Found(one.boxes.copy(), one.scores.copy(), one.labels.copy())
        self.change(copied)
        return copied.boxes, copied.scores, copied.labels


def moved(by):
    def change(found):
        found.boxes[0, 1] += by

    return change


def scored(by):
    def change(found):
        found.scores[0] += by

    return change


def relabeled(count):
    def change(found):
        found.labels[:count] = 99

    return change


@pytest.mark.parametrize(
    ('change', 'fits'),
    [
        (moved(0.0), True),
        (moved(5e-4), True),
        (moved(5e-3), False),
        (scored(5e-4), True),
        (scored(5e-3), False),
        (relabeled(3), True),
        (relabeled(8), False),
    ],
)
def test_onnx_may_differ_by_rounding_and_few_ties(detector, pictures, monkeypatch, change, fits):
    cfg, trained = detector
    samples = read_arrays(cfg, pictures[:1])
    session = Session(trained.model, samples, change)
    monkeypatch.setattr('mmdet_multigrain.export.to_onnx.open_session', lambda path: session)
    if fits:
        seen = check_onnx(cfg, trained, Path('nowhere'), pictures[:1])
        assert seen.pictures == 1 and seen.detections >= 90
        return
    with pytest.raises(ExportError, match='does not detect the same here: .* hardly trained yet'):
        check_onnx(cfg, trained, Path('nowhere'), pictures[:1])


@pytest.mark.parametrize(
    ('seen', 'fits'),
    [
        (Difference(1, 19, 1e-3, 1e-3, alone=2), True),  # 2 of 40: 5%
        (Difference(1, 18, 0.0, 0.0, alone=2), False),
        (Difference(1, 19, 1.001e-3, 0.0), False),
        (Difference(1, 19, 0.0, 1.001e-3), False),
        (Difference(1, 0, 0.0, 0.0), True),
        (Difference(1, 0, 0.0, 0.0, alone=1), False),
    ],
)
def test_how_far_onnx_may_differ(detector, monkeypatch, seen, fits):
    cfg, trained = detector
    asked = []
    name = 'mmdet_multigrain.export.to_onnx.'
    monkeypatch.setattr(name + 'open_session', asked.append)
    monkeypatch.setattr(name + 'detect', lambda model, samples: ['ours'])

    def compared(ours, theirs, **options):
        asked.append((ours, theirs, options))
        return seen

    monkeypatch.setattr(name + 'nearest_difference', compared)
    if fits:
        assert check_onnx(cfg, trained, Path('here'), []) is seen
    else:
        with pytest.raises(ExportError, match='does not detect the same here'):
            check_onnx(cfg, trained, Path('here'), [])
    assert asked == [Path('here/detector.onnx'), (['ours'], [], dict(slack=1e-3, at_most=100))]


def test_the_description_tells_what_to_feed(detector, monkeypatch, tmp_path):
    cfg, trained = detector
    name = 'mmdet_multigrain.export.to_onnx.'
    monkeypatch.setattr(name + 'onnx_bytes', lambda plain: b'model')
    monkeypatch.setattr(name + 'check_onnx', lambda *arguments: 'the same')
    assert export_onnx(cfg, trained, [], tmp_path) == ['checked: the same']
    assert (tmp_path / 'detector.onnx').read_bytes() == b'model'
    description = json.loads((tmp_path / 'detector.json').read_text())
    taxonomy = trained.taxonomy
    assert description == dict(
        classes=list(taxonomy.classes),
        superclasses=[taxonomy.superclass_of(name) for name in taxonomy.classes],
        resize=dict(scale_factor=1.0),
        score_thr=0.3,
    )
    cfg.test_dataloader.dataset.pipeline = cfg.test_dataloader.dataset.pipeline[:1]
    export_onnx(cfg, trained, [], tmp_path)
    assert json.loads((tmp_path / 'detector.json').read_text())['resize'] == {}


def test_steps_that_the_onnx_file_lacks_are_refused():
    load, size, pack = (
        dict(type=f'{kind}') for kind in ('LoadImageFromFile', 'Resize', 'PackDetInputs')
    )
    size |= dict(scale=(64, 48), keep_ratio=True)
    named = size | dict(type='mmdet.Resize')
    for step in (size, named):
        assert resize_step([load, step, pack]) == dict(scale=(64, 48), keep_ratio=True)
    for steps in (
        [size, size],
        [dict(type='Pad', size=(64, 64))],
        [size | dict(type='FixScaleResize')],
    ):
        with pytest.raises(ExportError, match=r'pipeline has \w+, which neither detector.onnx nor'):
            resize_step([load, *steps, pack])


@pytest.mark.parametrize('missing', ['onnx', 'onnxruntime'])
def test_packages_that_are_missing_are_named(monkeypatch, missing):
    check_packages()
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ExportError, match=f'^--to onnx needs {missing}: pip install -r '):
        check_packages()
