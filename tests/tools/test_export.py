"""tools/export.py: files that load without this package and detect the same, wrong input."""

from __future__ import annotations

import json
import shutil
import sys

import numpy as np
import pytest
import torch
from mmdet.apis import inference_detector, init_detector
from PIL import Image

from mmdet_multigrain.evaluation.answers import AnswerRule
from mmdet_multigrain.evaluation.functional.calibrators import Isotonic, Platt
from mmdet_multigrain.export.compare import Found, made_pictures, nearest_difference
from mmdet_multigrain.launch import load_config, quiet_imports
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.nodes import Nodes

from ..doc_blocks import block
from .conftest import SMALL, call, options, start

MODEL = [option for option in SMALL if option.startswith('model.')]
HEDGED = block('docs/export.md', 'calibrator')
ONNX_RUNTIME = block('docs/export.md', 'onnxruntime')
# Everything that MMDetection's own interface says of pictures, with this package out of reach.
ALONE = """
import sys

class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] == 'mmdet_multigrain':
            raise ImportError(f'{name} is out of reach')

sys.meta_path.insert(0, Nothing())
import torch
from mmdet.apis import inference_detector, init_detector
from mmengine.runner import Runner

torch.set_num_threads(1)
config, checkpoint, out, *pictures = sys.argv[1:]
torch.load(checkpoint, weights_only=True)
model = init_detector(config, checkpoint, device='cpu')
found = [inference_detector(model, picture).pred_instances for picture in pictures]
model.cfg.merge_from_dict(dict(
    load_from=checkpoint, work_dir=f'{out}.work', test_dataloader=dict(
        num_workers=0, persistent_workers=False)))
metrics = Runner.from_cfg(model.cfg).test()
torch.save(dict(
    found=[(item.bboxes, item.scores, item.labels) for item in found],
    classes=model.dataset_meta['classes'],
    palette=model.dataset_meta['palette'],
    parameters=sum(value.numel() for value in model.parameters()),
    metrics=metrics,
    ours=[name for name in sys.modules if name.startswith('mmdet_multigrain')],
), out)
"""


@pytest.fixture(scope='module')
def pictures(tmp_path_factory, garment_data) -> list:
    """Drawn garments, and patches in which a hardly trained detector sees as much."""
    folder = tmp_path_factory.mktemp('patches')
    paths = sorted((garment_data / 'validation' / 'image').iterdir())[:4]
    for number, picture in enumerate(made_pictures()):
        paths.append(folder / f'{number}.png')
        Image.fromarray(picture).save(paths[-1])
    return paths


def sharpened(checkpoint, folder):
    """The checkpoint with larger weights of its classifiers.

    After two iterations all scores lie closer together than programs round: which of two boxes
    suppresses the other is then anybody's.
    """
    content = torch.load(checkpoint, weights_only=False)
    for name, value in content['state_dict'].items():
        if 'fc_cls' in name or 'rpn_cls' in name:
            value.mul_(40)
    torch.save(content, folder / 'sharp.pth')
    return folder / 'sharp.pth'


def export(config, checkpoint, to, out, data, *more):
    return call('export', config, checkpoint, '--to', to, '--out', out, *options(data, *more))


def loaded(config, data, score_thr, **more):
    return load_config(
        config,
        {
            'data_root': str(data),
            'model.backbone.base_channels': 8,
            'model.neck.in_channels': [8, 16, 32, 64],
            'model.roi_head.bbox_head.fc_out_channels': 32,
            'model.test_cfg.rcnn.score_thr': score_thr,
            **more,
        },
    )


def test_stock_mmdetection_alone_detects_the_same(
    garment_data, config, trained, pictures, tmp_path, monkeypatch
):
    out = tmp_path / 'exported'
    result = export(
        config, trained.checkpoint, 'mmdet', out, garment_data, 'model.test_cfg.rcnn.score_thr=0.0'
    )
    assert result.status == 0, result.err
    assert 'checked: 200 detections in 2 pictures: bit-equal' in result.out
    assert {path.name for path in out.iterdir()} >= {'detector.py', 'detector.pth'}
    text = (out / 'detector.py').read_text()
    assert 'multigrain' not in text.lower() and 'custom_imports' not in text

    script = tmp_path / 'alone.py'
    script.write_text(ALONE)
    answer = tmp_path / 'answer.pt'
    done = start(
        sys.executable, script, out / 'detector.py', out / 'detector.pth', answer, *pictures
    )
    assert done.status == 0, done.err[-2000:]
    alone = torch.load(answer, weights_only=True)
    assert alone['ours'] == []

    with quiet_imports():
        model = init_detector(
            loaded(config, garment_data, 0.0), str(trained.checkpoint), device='cpu'
        )
        ours = [inference_detector(model, str(path)).pred_instances for path in pictures]
    assert sum(len(found) for found in ours) >= 300
    for mine, (boxes, scores, labels) in zip(ours, alone['found'], strict=True):
        assert torch.equal(mine.bboxes, boxes)
        assert torch.equal(mine.scores, scores)
        assert torch.equal(mine.labels, labels)
    assert alone['classes'] == model.dataset_meta['classes']
    shutil.copy(pictures[0], tmp_path / 'photo.jpg')
    monkeypatch.chdir(tmp_path)
    exec(block('docs/export.md', 'init_detector'), shown := {})
    assert torch.equal(shown['result'].pred_instances.bboxes, ours[0].bboxes)
    coarse = 32 * 128 * 49 + 32 + 14 * 32 + 14
    assert alone['parameters'] == sum(v.numel() for v in model.parameters()) - coarse
    assert 'coco/bbox_mAP' in alone['metrics']


# Another size than that of the pictures, which are not all of one shape.
RESIZED = {
    'test_pipeline.1.scale_factor': None,
    'test_pipeline.1.scale': (150, 110),
    'test_pipeline.1.keep_ratio': True,
}


def test_onnx_detects_the_same(garment_data, config, trained, pictures, tmp_path, monkeypatch):
    """By the code in the docs, which resizes as `detector.json` says."""
    checkpoint, out = sharpened(trained.checkpoint, tmp_path), tmp_path / 'exported_onnx'
    resized = [f'{key}={str(value).replace(" ", "")}' for key, value in RESIZED.items()]
    rule = AnswerRule(0.3, Taxonomy.load('deepfashion2'), promise='A promise.')
    rule.save(tmp_path / 'theta.json')
    result = call(
        'export', config, checkpoint, '--to', 'onnx', '--out', out, '--hedge', tmp_path / 'theta.json',
        *options(garment_data, *resized),
    )  # fmt: skip
    assert result.status == 0, result.err
    assert 'checked: ' in result.out and 'detections in 2 pictures: boxes within' in result.out
    description = json.loads((out / 'detector.json').read_text())
    assert description['classes'][0] == 'short sleeve top'
    assert description['superclasses'][0] == 'top'
    assert (out / 'theta.json').read_text() == (tmp_path / 'theta.json').read_text()
    assert description['resize'] == dict(scale_factor=None, scale=[150, 110], keep_ratio=True)

    cfg = loaded(config, garment_data, 0.05, **RESIZED)
    with quiet_imports():
        model = init_detector(cfg, str(checkpoint), device='cpu')
    monkeypatch.chdir(tmp_path)
    count, answers = 0, set()
    for path in pictures:
        expected = inference_detector(model, str(path)).pred_instances.numpy()
        shutil.copy(path, 'photo.jpg')
        exec(ONNX_RUNTIME, shown := {})
        (lineage,) = shown['more']
        assert lineage.shape == (len(shown['scores']), 2)
        exec(HEDGED, shown)
        names = [
            rule.name(label, level)
            for label, level in zip(shown['labels'], rule.levels(lineage), strict=True)
        ]
        assert shown['answers'] == names
        answers |= {*names}
        seen = nearest_difference(
            [Found(expected.bboxes, expected.scores, expected.labels)],
            [Found(shown['boxes'], shown['scores'], shown['labels'])],
            slack=1e-3,
            at_most=100,
        )
        assert max(seen.box, seen.score) < 1e-3 and seen.alone == 0
        count += seen.detections
    assert count >= 50 and len(answers) > 2, answers
    line = call(
        'export', config, checkpoint, '--to', 'mmdet', '--out', out, '--hedge', '0.5'
    ).error()  # fmt: skip
    assert '--hedge 0.5: stock MMDetection keeps one score of each detection' in line


def test_the_answers_of_the_docs_are_those_of_the_rule(tmp_path, monkeypatch):
    """The code in the docs, on random lineages, for each kind of calibrator."""
    monkeypatch.chdir(tmp_path)
    taxonomy, random = Taxonomy.load('deepfashion2'), np.random.default_rng(0)
    nodes = Nodes.of(taxonomy)
    rows = zip(nodes.names, nodes.index.tolist(), strict=True)
    detector = dict(nodes=[dict(names=names, index=index) for names, index in rows])
    (tmp_path / 'exported_onnx').mkdir()
    curves = Isotonic((0.2, 0.5, 0.9), (0.1, 0.7, 0.75)), Isotonic((0.3, 0.8), (0.2, 1.0))
    for rule in (
        AnswerRule(0.6, taxonomy),
        AnswerRule(0.6, taxonomy, (Platt(0.8, -0.3), Platt(1.5, 0.1))),
        AnswerRule(0.6, taxonomy, curves),
        AnswerRule(-1, taxonomy, curves),
        AnswerRule(None, taxonomy, reason='Too few.'),
    ):
        rule.save('exported_onnx/theta.json')
        labels = random.integers(0, 13, 500)
        lineage = np.sort(random.random((500, 2)), axis=1).astype(np.float32)
        lineage[:3] = [[0], [1], [0.5]]
        given = dict(labels=labels, more=[lineage], detector=detector, json=json, np=np)
        exec(HEDGED, given)
        levels = rule.levels(lineage)
        assert given['answers'] == [
            rule.name(label, level) for label, level in zip(labels, levels, strict=True)
        ]
        assert len({*levels}) == (3 if rule.theta == 0.6 else 1)


def test_wrong_input_is_answered_in_one_line(garment_data, config, trained, tmp_path):
    out = tmp_path / 'out'
    merged = config.with_name('merged_r18_fpn_synthetic.py')
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'mine.txt').touch()
    for settings, checkpoint, to, folder, expected in (
        (config, tmp_path / 'none.pth', 'mmdet', out, 'none.pth: no such checkpoint'),
        (tmp_path / 'none.py', trained.checkpoint, 'mmdet', out, 'none.py: no such config'),
        (config, trained.checkpoint, 'mmdet', tmp_path / 'full', 'already exists; name a new'),
        (merged, trained.checkpoint, 'onnx', out, 'with this config: '),
        (config, settings_file(tmp_path), 'mmdet', out, 'not a whole checkpoint'),
    ):
        line = export(settings, checkpoint, to, folder, garment_data).error()
        assert expected in line
        assert not out.exists()
    line = call(
        'export', config, trained.checkpoint, '--to', 'mmdet', '--out', out,
        '--images', tmp_path / 'nothing', *options(garment_data),
    ).error()  # fmt: skip
    assert 'nothing: not a readable picture' in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ['broken.pth', 'full']


def settings_file(folder):
    path = folder / 'broken.pth'
    path.write_bytes(b'x' * 99)
    return path


def test_the_merged_head_is_refused_for_mmdetection_only(garment_data, config, tmp_path):
    merged = config.with_name('merged_r18_fpn_synthetic.py')
    run = call(
        'train', merged, '--work-dir', tmp_path / 'run',
        *options(garment_data, 'train_cfg.max_iters=1', 'train_cfg.val_interval=9'),
    )  # fmt: skip
    assert run.status == 0, run.err
    checkpoint = sharpened(tmp_path / 'run' / 'iter_1.pth', tmp_path)
    line = export(merged, checkpoint, 'mmdet', tmp_path / 'out', garment_data).error()
    assert 'bbox_head is a MergedBBoxHead' in line and not (tmp_path / 'out').exists()
    result = export(merged, checkpoint, 'onnx', tmp_path / 'out', garment_data)
    assert result.status == 0, result.err


def test_a_missing_package_is_named_with_the_fix(
    garment_data, config, trained, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    line = export(config, trained.checkpoint, 'onnx', tmp_path / 'out', garment_data).error()
    assert 'needs onnxruntime: pip install -r requirements/export.txt' in line
