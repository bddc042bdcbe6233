"""AP and inputs of exported detectors, without a runtime."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from benchmarks.speed.onnx_runtimes import Detector, average_precision


@pytest.fixture
def exported(tmp_path):
    """A description, and two photos with a box of a vest each."""
    content = dict(
        classes=['vest', 'sock'],
        superclasses=['top', 'sock'],
        resize=dict(scale=[40, 30], keep_ratio=True),
        score_thr=0.05,
    )
    (tmp_path / 'detector.json').write_text(json.dumps(content))
    for number in (1, 2):
        cv2.imwrite(str(tmp_path / f'{number}.png'), np.full((60, 80, 3), 9 * number, np.uint8))
    return tmp_path


def test_inputs_are_resized_as_the_file_says(exported):
    feed = Detector(exported).feed(exported / '2.png')
    assert feed['image'].shape == (3, 30, 40) and feed['image'].dtype == np.float32
    assert feed['image'].max() == 18
    assert feed['scale_factor'].tolist() == [0.5, 0.5]
    assert feed['score_thr'] == np.float32(0.05)


def test_ap_is_that_of_the_named_classes(exported):
    truth = dict(
        images=[
            dict(id=number, file_name=f'{number}.png', width=80, height=60) for number in (1, 2)
        ],
        annotations=[
            dict(
                id=number, image_id=number, category_id=7, bbox=[9, 9, 20, 20], area=400, iscrowd=0
            )
            for number in (1, 2)
        ],
        categories=[dict(id=7, name='vest')],
    )

    def detect(feed):
        box = [9, 9, 29, 29] if feed['image'].max() == 9 else [50, 9, 60, 19]
        boxes = np.array([box, [0, 0, 5, 5]], np.float32)
        return boxes, np.array([0.9, 0.8], np.float32), np.array([0, 1])

    found = average_precision(detect, Detector(exported), truth, exported)
    assert found == pytest.approx(100 * 51 / 101)  # half of the objects, without an error before
