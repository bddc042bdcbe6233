"""What added classes cost the old ones, on two photos by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from mmdet_multigrain.evaluation import Detections, GroundTruth
from mmdet_multigrain.report.added_classes import added_table
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ReportError

NAN = float('nan')


def run(name, classes, aps, detections, photos=(1, 2)):
    """A run of (photo, label, x, score) with boxes of 10 x 10 pixels; objects at 0 and 50."""
    images, labels, lefts, scores = map(np.array, zip(*detections, strict=True))
    boxes = np.array([[x, 0, 10, 10] for x in lefts], float)
    rows = [SimpleNamespace(name=c, ap=ap, val_boxes=1) for c, ap in zip(classes, aps, strict=True)]
    truth = np.array([[0, 0, 10, 10], [50, 0, 10, 10]], float)
    return SimpleNamespace(
        source=name,
        result=SimpleNamespace(
            taxonomy=Taxonomy('t', classes),
            summary=SimpleNamespace(fine=SimpleNamespace(classes=rows)),
        ),
        ground_truth=GroundTruth(
            photos, np.array([0, 1]), np.array([0, 1]), truth, np.full(2, 100.0), np.zeros(2, bool)
        ),
        detections=Detections(images, labels, boxes, scores),
    )


OLD = run(
    'old.json',
    ('shirt', 'skirt'),
    (0.5, NAN),
    [
        (0, 0, 0, 0.9),  # right, taken
        (0, 1, 2, 0.8),  # IoU 80 / 120 with the kimono: wrong, taken
        (0, 1, 6, 0.7),  # IoU 40 / 160: another place
        (1, 1, 50, 0.6),  # right, and still higher than the kimono there
        (1, 0, 0, 0.2),  # below the threshold
    ],
)
AFTER = [
    (0, 2, 0, 0.8),
    (0, 0, 0, 0.3),
    (0, 1, 6, 0.7),
    (1, 1, 50, 0.6),
    (1, 2, 50, 0.5),
    (1, 2, 0, 0.9),
]
CLASSES = ('shirt', 'skirt', 'kimono')


def test_detections_that_a_new_class_took():
    table, new = added_table(OLD, run('new.json', CLASSES, (0.4, NAN, 0.25), AFTER), score_thr=0.3)
    assert new == ('kimono',)
    assert [(*row[:2], *row[5:]) for row in table.rows] == [
        ('shirt', 1, 1, 1, 1),
        ('skirt', 1, 3, 1, 0),
        ('mean of 2 old classes', 2, 4, 2, 1),
        ('kimono', 1, 0, 0, 0),
    ]
    assert table.rows[0][2:5] == pytest.approx((50, 40, -10))
    assert table.rows[1][2:5] == (None, None, None)
    assert table.rows[2][2:5] == pytest.approx((50, 40, -10))
    assert table.rows[3][2:5] == (None, 25, None)
    none, _ = added_table(OLD, run('new.json', CLASSES, (0, 0, 0), AFTER[1:2]), score_thr=0.95)
    assert none.rows[2][5:] == (0, 0, 0)


@pytest.mark.parametrize('known', [True, False])
def test_no_detection_is_right_on_a_crowd_or_a_superclass(known):
    top = {'top': ['shirt', 'vest']}
    groups = Taxonomy.load({'name': 't', 'groups': top, 'ungrouped': ['skirt']})
    truth = GroundTruth(
        (1, 2),
        np.array([0, 1]),
        np.array([0, 0 if known else groups.num_classes]),  # the latter is a top
        np.array([[0, 0, 10, 10], [50, 0, 10, 10]], float),
        np.full(2, 100.0),
        np.array([True, False]),
        sets=groups.labels.sets,
    )
    old = run('old.json', groups.classes, [0.5] * 3, [(0, 0, 0, 0.9), (1, 0, 50, 0.8)])
    old.ground_truth = truth.relabel(range(3))
    found = [(0, 3, 0, 0.9), (1, 3, 50, 0.8)]
    after = run('new.json', (*groups.classes, 'robe'), [0.5] * 4, found)
    table, _ = added_table(old, after, score_thr=0.3)
    assert table.rows[0][5:] == (2, 2, int(known))


@pytest.mark.parametrize(
    ('classes', 'photos', 'message'),
    [
        (CLASSES[:2], (1, 2), '^new.json: has no new class behind the old ones of old.json'),
        (('skirt', 'shirt', 'kimono'), (1, 2), 'has no new class behind the old ones'),
        (('shirt', 'robe', 'kimono'), (1, 2), "^new.json: lacks 'skirt' of old.json"),
        (CLASSES, (1, 3), '^new.json: of other photos than old.json; test both on the same'),
    ],
)
def test_tests_that_do_not_belong_together(classes, photos, message):
    after = run('new.json', classes, [0] * len(classes), AFTER[1:2], photos)
    with pytest.raises(ReportError, match=message):
        added_table(OLD, after, score_thr=0.3)
