"""Mean features of the annotated boxes of a class, against layers that are run by hand."""

from __future__ import annotations

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from mmdet_multigrain.apis.box_features import class_features
from mmdet_multigrain.coco.annotations import AnnotationFile
from mmdet_multigrain.launch import load_config
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import AnnotationError

from ..export.conftest import SMALL, build

NAMES = ('shirt', 'skirt', 'hat')
BOXES = ((0, 0, [4, 6, 30, 40]), (1, 0, [10, 5, 50, 60]), (1, 2, [30, 8, 20, 40]))


@pytest.fixture(scope='module')
def detector(repository):
    torch.set_num_threads(1)
    path = repository / 'configs' / 'multigrain' / 'wgroup_r18_fpn_synthetic.py'
    cfg = load_config(path, SMALL)
    return SimpleNamespace(
        cfg=cfg,
        model=build(cfg.model),
        read=lambda path: dict(img=(img := cv2.imread(str(path))), img_id=0, img_path=str(path),
                               img_shape=img.shape[:2], ori_shape=img.shape[:2]),
    )  # fmt: skip


@pytest.fixture
def shots(tmp_path):
    """Two photos, three boxes, and two boxes that do not count."""
    random = np.random.default_rng(0)
    for number in (0, 1):
        pixels = random.integers(0, 256, (80, 96, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f'{number}.png'), cv2.GaussianBlur(pixels, (0, 0), 4))
    crowd, ignored = (0, 0, [9, 9, 40, 40]), (0, 2, [9, 9, 40, 40])
    rows = [
        dict(id=n, image_id=image, category_id=label, bbox=box, area=box[2] * box[3],
             iscrowd=int(n == 4), ignore=int(n == 5))
        for n, (image, label, box) in enumerate((*BOXES, crowd, ignored), 1)
    ]  # fmt: skip
    content = dict(
        images=[dict(id=n, file_name=f'{n}.png', width=96, height=80) for n in (0, 1)],
        categories=[dict(id=n, name=name) for n, name in enumerate(NAMES)],
        annotations=rows,
    )
    (tmp_path / 'shots.json').write_text(json.dumps(content))
    return AnnotationFile(tmp_path / 'shots.json', taxonomy=Taxonomy('shots', NAMES))


@torch.no_grad()
def by_hand(detector, path, box):
    """What the branches hand to their classifiers, of one box in a photo of twice its size."""
    pixels = cv2.resize(cv2.imread(str(path)), None, fx=2, fy=2)
    image = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
    inputs = detector.model.data_preprocessor(dict(inputs=[image]))['inputs']
    levels = detector.model.extract_feat(inputs)
    x, y, w, h = box
    roi = torch.tensor([[0.0, 2 * x, 2 * y, 2 * (x + w), 2 * (y + h)]])
    head = detector.model.roi_head.bbox_head
    feature = detector.model.roi_head.bbox_roi_extractor(levels[:4], roi).flatten(1)
    coarse, fine = head.branch_in(feature).relu().split(32, dim=1)
    return coarse, head.branch_fcs[1][0](fine).relu()


def test_features_are_the_means_of_what_classifiers_see(detector, shots, tmp_path, monkeypatch):
    resize = dict(type='Resize', scale=(192, 160), keep_ratio=True)
    pipeline = [step for step in detector.cfg.test_dataloader.dataset.pipeline]
    place = [step.type for step in pipeline].index('Resize')
    pipeline[place] = resize
    monkeypatch.setattr(
        'mmdet_multigrain.apis.box_features.get_test_pipeline_cfg', lambda cfg: pipeline
    )
    found = class_features(detector, shots, tmp_path, [2, 0])
    assert sorted(found) == ['roi_head.bbox_head.coarse_fc_cls.0', 'roi_head.bbox_head.fc_cls']
    first, second, other = (
        by_hand(detector, tmp_path / f'{image}.png', box) for image, _, box in BOXES
    )
    for number, name in enumerate(sorted(found)):
        expected = torch.cat([other[number], (first[number] + second[number]) / 2])
        torch.testing.assert_close(found[name], expected, rtol=1e-3, atol=1e-4)
    assert not any(part.training for part in detector.model.modules())


def test_a_class_without_a_box_is_named(detector, shots, tmp_path):
    with pytest.raises(AnnotationError, match=r"shots.json: no box of 'skirt'; imprinting needs"):
        class_features(detector, shots, tmp_path, [0, 1])
