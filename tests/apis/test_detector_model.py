"""A detector from a config and a checkpoint: what it finds, and what it refuses."""

from __future__ import annotations

import copy

import cv2
import numpy as np
import pytest
import torch
from mmdet.apis import inference_detector
from PIL import Image

from mmdet_multigrain.apis import detector as module
from mmdet_multigrain.apis.detector import Detector, Prediction
from mmdet_multigrain.datasets import taxonomy_metainfo
from mmdet_multigrain.engine.checkpoint.scoring import scoring_of
from mmdet_multigrain.engine.checkpoint.training_record import NO_RECORD
from mmdet_multigrain.evaluation.answers import AnswerRule
from mmdet_multigrain.evaluation.functional.calibrators import Platt
from mmdet_multigrain.launch import load_config
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import CheckpointError, ConfigError, ImageError, MultigrainError

from ..export.conftest import SMALL, build

TAXONOMY = Taxonomy.load('deepfashion2')


@pytest.fixture(scope='module')
def trained(repository, tmp_path_factory):
    """A config, a model built from it, and two photos."""
    torch.set_num_threads(1)
    path = repository / 'configs' / 'multigrain' / 'wgroup_r18_fpn_synthetic.py'
    cfg = load_config(path, {**SMALL, 'model.test_cfg.rcnn.score_thr': 0.05})
    folder = tmp_path_factory.mktemp('photos')
    random, photos = np.random.default_rng(0), []
    for number, shape in enumerate(((100, 75, 3), (64, 96, 3))):
        pixels = cv2.GaussianBlur(random.integers(0, 256, shape, dtype=np.uint8), (0, 0), 4) * 3
        photos.append(folder / f'{number}.png')
        cv2.imwrite(str(photos[-1]), pixels)
    return cfg, build(cfg.model), photos


@pytest.fixture
def save(trained, tmp_path):
    """Write the model's checkpoint, with other content if given; the path."""

    def write(*, prefix='', state=None, **meta):
        meta = {'dataset_meta': taxonomy_metainfo(TAXONOMY), **meta}
        state = trained[1].state_dict() if state is None else state
        content = dict(meta=meta, state_dict={prefix + key: value for key, value in state.items()})
        torch.save(content, tmp_path / 'a.pth')
        return str(tmp_path / 'a.pth')

    return write


@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_it_finds_what_its_model_finds(trained, save, capsys, prefix):
    cfg, model, photos = trained
    before = copy.deepcopy(cfg.to_dict())
    detector = Detector(cfg, save(prefix=prefix), device='cpu')
    assert cfg.to_dict() == before and detector.cfg is not cfg
    assert detector.taxonomy == TAXONOMY and not detector.model.training
    both = detector.predict([detector.read(path) for path in photos])
    assert [one.image.shape for one in both] == [(100, 75, 3), (64, 96, 3)]
    model.cfg = cfg
    for path in photos:
        (prediction,) = detector.predict([detector.read(path)])
        expected = inference_detector(model, str(path)).pred_instances.numpy()
        assert len(expected.labels) > 5 and (np.diff(prediction.scores) <= 0).all()
        assert np.array_equal(prediction.image, cv2.imread(str(path)))
        for ours, theirs in (
            (prediction.labels, expected.labels),
            (prediction.scores, expected.scores),
            (prediction.boxes, expected.bboxes),
        ):
            np.testing.assert_allclose(ours, theirs, atol=1e-3)
    assert NO_RECORD in capsys.readouterr().err


def test_what_a_checkpoint_must_tell(trained, save):
    cfg, model, _ = trained
    with pytest.raises(CheckpointError, match='a.pth: does not say which classes it was trained'):
        Detector(cfg, save(dataset_meta={}), device='cpu')
    state = {key: value for key, value in model.state_dict().items() if 'fc_reg' not in key}
    with pytest.raises(CheckpointError, match='a.pth'):
        Detector(cfg, save(state=state), device='cpu')
    other = taxonomy_metainfo(Taxonomy.load('openimages_v4_clothing'))
    with pytest.raises(ValueError, match='a.pth'):
        Detector(cfg, save(dataset_meta=other), device='cpu')


def test_a_stock_checkpoint_has_classes_without_groups(repository, tmp_path):
    path = repository / 'configs' / 'multigrain' / 'baseline_r18_fpn_synthetic.py'
    cfg = load_config(path, SMALL)
    meta = dict(dataset_meta=dict(classes=TAXONOMY.classes))
    torch.save(dict(meta=meta, state_dict=build(cfg.model).state_dict()), tmp_path / 'a.pth')
    found = Detector(cfg, str(tmp_path / 'a.pth'), device='cpu').taxonomy
    assert (found.name, found.classes, found.num_levels) == ('checkpoint', TAXONOMY.classes, 1)


def same_detections(ours, theirs):
    return all(
        np.array_equal(getattr(ours, name), getattr(theirs, name))
        for name in ('image', 'labels', 'scores', 'boxes')
    )


def test_answers_leave_the_detections_as_they_are(trained, save, tmp_path):
    cfg, model, photos = trained
    cfg = copy.deepcopy(cfg)
    cfg.model.test_cfg.rcnn.nms.iou_threshold = 0.4
    checkpoint = save()
    stock = Detector(cfg, checkpoint, device='cpu')
    samples = [stock.read(path) for path in photos]
    expected = stock.predict(samples)
    assert stock.answers is None and expected[0].lineage is expected[0].answer_levels is None
    curves = (Platt(0.5, 0.4), Platt(0.7, 0.9))
    scoring = scoring_of('b.pth', {'state_dict': model.state_dict()}, cfg.model)
    AnswerRule(0.75, TAXONOMY, curves, checkpoint=scoring).save(tmp_path / 'theta.json')
    counts = {}
    for answers in (0.4, AnswerRule(-1, TAXONOMY), 1, tmp_path / 'theta.json'):
        detector = Detector(cfg, checkpoint, device='cpu', answers=answers)
        assert detector.taxonomy == TAXONOMY
        assert detector.cfg.to_dict() == stock.cfg.to_dict()
        levels = []
        for found, plain in zip(detector.predict(samples), expected, strict=True):
            assert same_detections(found, plain)
            assert found.lineage.shape == found.calibrated.shape == (len(found.labels), 2)
            assert found.iou_thr == 0.4 and found.rois.dtype == np.int64
            np.testing.assert_allclose(found.objectness * found.lineage[:, 0], found.scores, 1e-5)
            nodes = np.hstack([found.calibrated, np.ones((len(found.labels), 1))])
            for row, level, score in zip(
                nodes, found.answer_levels, found.answer_scores, strict=True
            ):
                assert (np.diff(row) >= 0).all() and score == row[level]
                assert level == 2 or score > detector.answers.theta
                assert level == 0 or row[level - 1] <= detector.answers.theta
            levels += found.answer_levels.tolist()
        counts[str(answers)] = [levels.count(level) for level in range(3)]
    above, leaf, always, ruled = counts.values()
    assert min(above) > 0 and leaf[1:] == [0, 0] and always[:2] == [0, 0]
    assert min(ruled) > 0 and ruled != above


def test_answers_that_cannot_be_given(trained, save, tmp_path):
    cfg, model, _ = trained
    other = Taxonomy.load('openimages_v4_clothing')
    scoring = scoring_of('b.pth', {'state_dict': {'a': torch.ones(1)}}, cfg.model)
    tta = copy.deepcopy(cfg)
    tta.model = dict(type='DetTTAModel', module=cfg.model)
    for config, options, message in (
        (cfg, dict(answers=0.5, level='coarse'), "level 'coarse': answers start from classes"),
        (cfg, dict(answers=1.5), 'theta is 1.5, not from -1 to 1'),
        (cfg, dict(answers=AnswerRule(0.5, other)), 'has other classes or groups'),
        (cfg, dict(answers=AnswerRule(0.5, TAXONOMY, checkpoint=scoring)), 'of other weights'),
        (cfg, dict(answers=tmp_path / 'none.json'), 'none.json: cannot be read'),
        (tta, dict(answers=0.5), 'test-time augmentation merges the detections'),
    ):
        with pytest.raises(MultigrainError, match=message) as caught:
            Detector(config, save(), device='cpu', **options)
        assert '\n' not in str(caught.value)


def test_a_checkpoint_without_groups_takes_those_of_the_rule(repository, trained, tmp_path):
    path = repository / 'configs' / 'multigrain' / 'baseline_r18_fpn_synthetic.py'
    cfg = load_config(path, {**SMALL, 'model.test_cfg.rcnn.score_thr': 0.05})
    meta = dict(dataset_meta=dict(classes=TAXONOMY.classes))
    torch.save(dict(meta=meta, state_dict=build(cfg.model).state_dict()), tmp_path / 'a.pth')
    groups = {}
    for answers in (0.4, AnswerRule(0.4, TAXONOMY)):
        detector = Detector(cfg, str(tmp_path / 'a.pth'), device='cpu', answers=answers)
        (found,) = detector.predict([detector.read(trained[2][0])])
        groups[detector.taxonomy.num_levels] = {*found.answer_levels.tolist()}
    assert groups == {1: {0, 1}, 2: {0, 1, 2}}


def test_devices(trained, monkeypatch):
    cfg, *_ = trained
    with pytest.raises(ConfigError, match="^device 'no such' cannot be used here") as caught:
        Detector(cfg, 'a.pth', device='no such')
    assert '\n' not in str(caught.value)
    monkeypatch.setattr(module, 'get_device', lambda: 'the best')
    with pytest.raises(ConfigError, match="^device 'the best' cannot be used here"):
        Detector(cfg, 'a.pth')


def test_photos_that_cannot_be_read(trained, save, tmp_path):
    cfg, _, photos = trained
    detector = Detector(cfg, save(), device='cpu')
    (tmp_path / 'text.jpg').write_text('text')
    (tmp_path / 'cut.png').write_bytes(photos[0].read_bytes()[:-20])
    for name, problem in (
        ('none.jpg', 'no such image'),
        ('text.jpg', 'not a readable image'),
        ('cut.png', 'cut off before its end'),
    ):
        with pytest.raises(ImageError, match=f'^{tmp_path}/{name}: {problem}$'):
            detector.read(tmp_path / name)


def test_images_of_any_kind(trained, save, tmp_path):
    cfg, _, photos = trained
    detector = Detector(cfg, save(), device='cpu')
    pixels = cv2.imread(str(photos[0]))
    (expected,) = detector.predict([str(photos[0])])
    upright = Image.fromarray(pixels[..., ::-1])
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    turned.getexif()[0x0112] = 6  # to be turned by 270 degrees to be upright
    kinds = [photos[0], pixels, pixels[::-1][::-1], upright, turned, upright.convert('RGBA')]
    assert detector.read(photos[0]).keys() == detector.read(pixels).keys()
    for kind in kinds:
        (found,) = detector.predict([kind])
        assert same_detections(found, expected) and len(found.labels) > 5
    both = detector.predict([detector.read(photos[1]), pixels, upright])  # one batch
    assert [one.image.shape[:2] for one in both] == [(64, 96), (100, 75), (100, 75)]
    assert same_detections(both[1], both[2])
    gray = Image.fromarray(pixels[..., 0])
    assert np.array_equal(detector.read(gray)['img'][..., 2], pixels[..., 0])
    deep = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    deep.save(tmp_path / '16.png')
    for kind in (deep, Image.open(tmp_path / '16.png'), tmp_path / '16.png'):
        assert np.array_equal(detector.read(kind)['img'][..., 2], pixels[..., 0])
    (tmp_path / 'cut.png').write_bytes(photos[0].read_bytes()[:-2000])
    for wrong in (Image.new('F', (9, 9)), Image.new('I', (9, 9)), Image.open(tmp_path / 'cut.png')):
        with pytest.raises(ImageError, match='^image of '):
            detector.read(wrong)
    for wrong in (pixels[..., 0], pixels.astype(float), pixels[..., :1], pixels[:0]):
        with pytest.raises(ImageError, match=r'^array of shape .* not an image; give \(height'):
            detector.read(wrong)


def test_numbers_are_rounded():
    taxonomy = Taxonomy('one', ['a'])
    prediction = Prediction(
        np.zeros((5, 6, 3), np.uint8), np.array([0]), np.array([0.123456]),
        np.array([[1.23456, 2.0, 3.5, 4.987654]]),
    )  # fmt: skip
    (row,) = module.describe(prediction, taxonomy)['detections']
    assert (row['score'], row['box']) == (0.1235, [1.23, 2.0, 2.27, 2.99])
