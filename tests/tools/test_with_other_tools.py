"""The recipes of docs/with_other_tools.md, each where its tool is installed."""

from __future__ import annotations

import json
import shutil
import subprocess

import cv2
import numpy as np
import pytest

from mmdet_multigrain.coco.annotations import AnnotationFile
from mmdet_multigrain.export.compare import Found, nearest_difference
from mmdet_multigrain.taxonomy import Taxonomy

from ..doc_blocks import block
from .conftest import call, options
from .test_export import ONNX_RUNTIME, sharpened

RUN = 'work_dirs/wgroup_lite0_fpn_custom/'
CONFIG, CHECKPOINT = f'{RUN}wgroup_lite0_fpn_custom.py', f'{RUN}iter_1000.pth'


def run(text: str) -> dict:
    """Run a block for a detector that was hardly trained."""
    exec(text.replace('above(0.3)', 'above(0.05)').replace('=0.3', '=0.05'), shown := {})
    return shown


def test_images_of_any_kind(run_folder, capsys):
    shown = run(block('docs/with_other_tools.md', 'Image.open'))
    lines = capsys.readouterr().out.splitlines()
    assert len(shown['batch']) == len(lines) == 3
    assert lines[0] == lines[1] and '{}' not in lines[0] and "'superclass'" in lines[0]


def test_inferencer_of_mmdetection(run_folder, capsys):
    found = run(block('docs/with_other_tools.md', 'DetInferencer'))['found']
    assert len(found['labels']) > 5
    assert (run_folder / 'inferred' / 'vis' / 'photo.jpg').is_file()


def test_supervision(run_folder):
    pytest.importorskip('supervision')
    text = block('docs/with_other_tools.md', 'from_supervision')
    shown = run(text.replace('answers=0.8', 'answers=0.3'))
    kept = np.flatnonzero([path.startswith('top/') for path in shown['detections']['path']])
    assert len(kept) > 5
    for name in ('labels', 'scores', 'boxes', 'lineage', 'calibrated', 'answer_levels', 'rois'):
        was = getattr(shown['prediction'], name)
        assert np.array_equal(getattr(shown['again'], name), was[kept])
    assert (shown['picture'] != shown['prediction'].image).any()


def test_video(run_folder):
    pytest.importorskip('supervision')
    photo = cv2.imread('photo.jpg')
    writer = cv2.VideoWriter('video.mp4', cv2.VideoWriter_fourcc(*'mp4v'), 5, photo.shape[1::-1])
    for shift in range(3):
        writer.write(np.roll(photo, shift, axis=1))
    writer.release()
    run(block('docs/with_other_tools.md', 'process_video'))
    video = cv2.VideoCapture('detected.mp4')
    frames = [frame for found, frame in iter(video.read, (False, None)) if found]
    assert len(frames) == 3 and frames[0].shape == photo.shape
    assert np.abs(frames[0].astype(int) - photo).mean() > 5  # boxes are drawn


@pytest.mark.parametrize('kind', ['run', 'wrapped', 'exported'])
def test_sliced_inference(run_folder, garment_data, config, trained, kind, monkeypatch):
    pytest.importorskip('sahi')
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '-1')  # as SAHI does for device='cpu'
    text = block('docs/with_other_tools.md', 'get_sliced_prediction')
    photo = cv2.imread('photo.jpg')
    cv2.imwrite('photo.jpg', np.tile(photo, (2, 2, 1)))
    text = text.replace('=640', '=80')
    if kind == 'wrapped':
        with open(CONFIG, 'a') as file:
            file.write(
                'train_dataloader["dataset"] = dict(type="ClassBalancedDataset", '
                'oversample_thr=0.1, dataset=train_dataloader["dataset"])\n'
            )
    if kind == 'exported':
        made = call('export', config, trained.checkpoint, '--to', 'mmdet', '--out', 'exported',
                    *options(garment_data))  # fmt: skip
        assert made.status == 0, made.err
        text = text.replace("run + 'wgroup_lite0_fpn_custom.py'", "'exported/detector.py'")
        text = text.replace("run + 'iter_1000.pth'", "'exported/detector.pth'")
    result = run(text)['result']
    boxes = np.array([found.bbox.to_xyxy() for found in result.object_prediction_list])
    assert len(boxes) > 5 and (boxes[:, 0] > photo.shape[1]).any()  # in the right half, too
    names = {found.category.name for found in result.object_prediction_list}
    assert names <= {*Taxonomy.load('deepfashion2').classes}


@pytest.fixture
def annotated(run_folder):
    """Answers to correct, and the label of each."""
    made = call('predict', 'photo.jpg', CONFIG, CHECKPOINT, '--annotations', '--hedge', '0.3',
                '--score-thr', 0.05, '--no-pictures')  # fmt: skip
    assert made.status == 0, made.err
    return run_folder / 'predictions' / 'annotations.json'


def boxes_by_label(path):
    """Corners of the boxes of each label, with the taxonomy of the detector."""
    file, found = AnnotationFile(path, taxonomy=Taxonomy.load('deepfashion2'), coarse=True), []
    names = {row['id']: row['name'] for row in file.dataset['categories']}
    for row in file.dataset['annotations']:
        found.append((names[row['category_id']], *(round(side, 1) for side in row['bbox'])))
    return sorted(found)


def test_label_studio_and_back(annotated):
    pytest.importorskip('label_studio_sdk')
    from label_studio_sdk.converter import Converter
    from label_studio_sdk.converter.imports.coco import convert_coco_to_ls

    folder = annotated.parent
    tasks = folder / 'tasks.json'
    convert_coco_to_ls(str(annotated), str(tasks), out_type='predictions')
    content = json.loads(tasks.read_text())
    # Whoever accepts them makes annotations of the predictions.
    for number, task in enumerate(content, 1):
        task |= dict(id=number, annotations=task.pop('predictions'))
    tasks.write_text(json.dumps(content))
    converter = Converter(str(folder / 'tasks.label_config.xml'), str(folder))
    converter.convert_to_coco(str(tasks), str(folder / 'corrected'), is_dir=False)
    file = folder / 'corrected' / 'result.json'
    subprocess.run(['sed', '-i', 's#[^"]*?d=##g', file], check=True)  # as the docs have it
    assert [row['file_name'] for row in json.loads(file.read_text())['images']] == ['photo.jpg']
    back = boxes_by_label(file)
    assert back == boxes_by_label(annotated) and len(back) > 1


def test_the_browser_of_hotcoco(annotated, garment_data):
    pytest.importorskip('fastapi')
    testclient = pytest.importorskip('starlette.testclient')
    from hotcoco import COCO
    from hotcoco.server import create_app

    truth = COCO(str(annotated))
    detections = annotated.with_name('result.bbox.json')
    detections.write_text(json.dumps(json.loads(annotated.read_text())['annotations']))
    app = create_app(truth, image_dir='.', dt_coco=truth.load_res(str(detections)))
    client = testclient.TestClient(app)
    page, detail = client.get('/'), client.get('/detail/1')
    assert page.status_code == detail.status_code == 200
    assert 'one-piece dress' in page.text and 'vest dress' in page.text
    assert 'photo.jpg' in detail.text


def test_openvino_detects_what_onnx_runtime_does(
    garment_data, config, trained, tmp_path, monkeypatch
):
    pytest.importorskip('openvino')
    checkpoint, out = sharpened(trained.checkpoint, tmp_path), tmp_path / 'exported_onnx'
    made = call('export', config, checkpoint, '--to', 'onnx', '--out', out, *options(garment_data))
    assert made.status == 0, made.err
    monkeypatch.chdir(tmp_path)
    for photo in sorted((garment_data / 'validation' / 'image').iterdir())[:3]:
        shutil.copy(photo, 'photo.jpg')
        exec(ONNX_RUNTIME, shown := {})
        found = [Found(*(shown[name] for name in ('boxes', 'scores', 'labels')))]
        exec(block('docs/export.md', 'compile_model'), shown)
        other = [Found(*(shown[name] for name in ('boxes', 'scores', 'labels')))]
        seen = nearest_difference(found, other, slack=1e-3, at_most=100)
        # The sharpened classifier amplifies rounding: some other boxes win ties.
        assert seen.detections > 50 and max(seen.box, seen.score) < 0.02
        assert seen.alone < 0.1 * 2 * seen.detections
