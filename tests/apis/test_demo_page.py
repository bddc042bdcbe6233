"""The demo page: what its sliders show. The page itself: tests/tools/test_demo.py."""

from __future__ import annotations

import sys
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from mmdet_multigrain.apis import demo_page
from mmdet_multigrain.apis.detector import Prediction
from mmdet_multigrain.evaluation.answers import AnswerRule
from mmdet_multigrain.evaluation.functional.calibrators import Platt
from mmdet_multigrain.utils.errors import ConfigError

NOTHING = 'Nothing is promised of answers at these sliders (tools/calibrate.py).'


class Detector:
    """Sees a vest and a hat in each photo, and counts the photos."""

    def __init__(self, taxonomy, **rule):
        self.taxonomy, self.seen = taxonomy, []
        self.answers = AnswerRule(rule.pop('theta', 0.5), taxonomy, **rule)

    def predict(self, images):
        (photo,) = images
        self.seen.append(photo)
        lineage = np.array([[0.4, 0.6], [0.9, 0.9]])
        return [
            Prediction(
                np.asarray(photo)[..., ::-1],
                np.array([2, 3]),
                np.array([0.36, 0.3]),
                np.array([[10, 10, 60, 50], [70, 10, 90, 40]], float),
                lineage=lineage,
                calibrated=lineage,
                answer_levels=np.array([0, 0]),
                rois=np.array([0, 1]),
                iou_thr=0.5,
            )
        ]


def test_sliders(garments):
    detector = Detector(garments)
    detect = demo_page.detection(detector)
    photo = Image.new('RGB', (100, 60), 'red')
    for score, theta, rows in (
        (0.3, 0, [['vest', 'vest', 'top', 0.36, 0.36], ['hat', 'hat', 'hat', 0.3, 0.3]]),
        (0.3, 0.5, [['top', 'vest', 'top', 0.36, 0.54], ['hat', 'hat', 'hat', 0.3, 0.3]]),
        (0.31, 0.5, [['top', 'vest', 'top', 0.36, 0.54]]),
        (0.31, 1, [['object', 'vest', 'top', 0.36, 0.9]]),
        (0.9, 1, []),
    ):
        picture, found, promise = detect(photo, score, theta)
        assert found == rows and promise == NOTHING
        assert picture.size == (700, 420) and picture.getpixel((3, 400)) == (255, 0, 0)
    assert len(detector.seen) == 1  # only a new photo is detected on
    detect(Image.new('L', (100, 60)), 0.3, 0)
    assert len(detector.seen) == 2 and detector.seen[1].mode == 'RGB'
    assert detect(None, 0.3, 0.5) == (None, [], '')


def test_answers_are_calibrated_by_the_rule(garments):
    detector = Detector(garments, calibrators=(Platt(1, -3), Platt(1, 0)))
    _, rows, _ = demo_page.detection(detector)(Image.new('RGB', (9, 9)), 0.3, 0.3)
    assert rows[0][0] == 'top' and rows[0][4] == pytest.approx(0.54)


@pytest.mark.parametrize(
    ('score', 'theta', 'said'),
    [
        (0.3, 0.51234, 'It holds.'),
        (0.3, 0.5124, 'It holds.'),  # as near as the slider goes
        (0.3, 0.52, NOTHING),
        (0.4, 0.51234, NOTHING),
    ],
)
def test_a_promise_is_about_its_own_threshold(garments, score, theta, said):
    rule = AnswerRule(0.51234, garments, promise='It holds.', score_thr=0.3)
    now = demo_page.rule_at(rule, theta)
    assert demo_page.promised(now, score) == said
    assert now.theta == (0.51234 if abs(theta - 0.51234) < 1e-4 else theta)


@pytest.mark.parametrize(
    ('theta', 'reason', 'start', 'said'),
    [(-1, None, 0, 'It holds.'), (None, 'Too few photos.', 1, 'Too few photos.')],
)
def test_a_rule_without_a_threshold_on_the_slider(garments, theta, reason, start, said):
    detector = Detector(garments, theta=theta, promise='It holds.', reason=reason, score_thr=0.3)
    photo = Image.new('RGB', (9, 9))
    assert demo_page.detection(detector)(photo, 0.3, start)[2] == said
    assert demo_page.detection(detector)(photo, 0.3, 0.5)[2] == NOTHING
    assert demo_page.start_of(detector.answers) == start


def test_without_the_package(garments, monkeypatch):
    monkeypatch.setitem(sys.modules, 'gradio', None)
    with pytest.raises(ConfigError, match='gradio: pip install -r requirements/demo.txt'):
        demo_page.build_page(Detector(garments), title='x', score_thr=0.3)


@pytest.mark.parametrize(('options', 'waits'), [({}, True), ({'wait': False}, False)])
def test_the_page_is_served_until_ctrl_c(options, waits):
    page = mock.Mock()
    page.launch.return_value = None, 'http://127.0.0.1:7860/', None
    assert demo_page.launch(page, host='127.0.0.1', port=None, **options) == page.launch()[1]
    assert page.block_thread.called == waits
