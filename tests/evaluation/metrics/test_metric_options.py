"""The registered metric: class sets, limits, and wrong input refused before a test."""

import json
from pathlib import Path

import pytest

from mmdet_multigrain.datasets import taxonomy_metainfo
from mmdet_multigrain.evaluation import read_result
from mmdet_multigrain.evaluation.metrics.multi_grained_coco_metric import MultiGrainedCocoMetric
from mmdet_multigrain.utils.errors import AnnotationError, EvaluationError

from .metric_cases import BOXES, TAXONOMY, perfect, run, sample, write

COCO = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]


def test_errors_are_one_line(ann_file, tmp_path):
    samples = perfect(BOXES, 3)
    cases = [
        (AnnotationError, 'no such annotation file', samples, dict(ann_file='nowhere.json')),
        (EvaluationError, 'image id 9', [*samples, sample(9, [])], dict(ann_file=ann_file)),
        (EvaluationError, 'no image was evaluated', [], dict(ann_file=ann_file)),
        (
            EvaluationError,
            'labels run from 5 to 5',
            [sample(1, [(5, 0, 0, 9, 9, 0.5)])],
            dict(ann_file=ann_file),
        ),
    ]
    for kind, message, case, kwargs in cases:
        with pytest.raises(kind, match=message) as caught:
            run(case, **kwargs)
        assert '\n' not in str(caught.value)


def test_data_set_must_have_a_matching_taxonomy(ann_file):
    metric = MultiGrainedCocoMetric(ann_file)
    metric.process({}, perfect(BOXES, 3))
    results = list(metric.results)
    metric.dataset_meta = dict(classes=TAXONOMY.classes)
    with pytest.raises(EvaluationError, match='has no taxonomy; use SuperclassCocoDataset'):
        metric.compute_metrics(results)
    metric.dataset_meta = dict(taxonomy_metainfo(TAXONOMY), classes=TAXONOMY.classes[::-1])
    with pytest.raises(EvaluationError, match='classes of the data set differ'):
        metric.compute_metrics(results)


def test_sets_of_classes_and_the_limit(tmp_path, ann_file):
    sets = {'tail': ['vest', 'skirt'], 'superclass': ['jeans']}
    path = tmp_path / 'result.json'
    values = run(
        perfect(BOXES, 3), ann_file, class_sets=sets, max_dets=7, result_file=str(path),
        metric_items=['AR@7', 'AR_s@7', 'mAP'],
    )  # fmt: skip
    for name in ('set_tail_mAP', 'set_tail_mAP_50', 'set_superclass_mAP', 'AR@7', 'AR_s@7'):
        assert values[f'coco/bbox_{name}'] == pytest.approx(1), name
    summary = read_result(path).summary
    assert [one.classes for one in summary.class_sets] == [('vest', 'skirt'), ('jeans',)]
    assert summary.max_dets == 7 and 'AR7' in summary.fine.coco


def checked(ann_file, image_ids=(1, 2, 3), **kwargs):
    metric = MultiGrainedCocoMetric(ann_file, **kwargs)
    metric.dataset_meta = taxonomy_metainfo(TAXONOMY)
    metric.check_data(image_ids)
    return metric


def test_what_would_stop_an_evaluation_is_found_before(tmp_path, ann_file):
    metric = checked(ann_file)
    assert metric._coco_api is not None
    checked(None)
    content = json.loads(Path(ann_file).read_text())
    with pytest.raises(EvaluationError, match=r'1 of the 2 images .* \(first: image id 9\)'):
        checked(ann_file, (1, 9))
    with pytest.raises(ValueError, match='nowhere.json'):
        checked(str(tmp_path / 'nowhere.json'))
    with pytest.raises(EvaluationError, match="'hat' is not a class"):
        checked(ann_file, class_sets={'tail': ['hat']})
    other = dict(content, categories=[dict(id=1, name='hat')], annotations=[])
    other = write(tmp_path / 'other.json', other)
    with pytest.raises(ValueError, match='other.json'):
        checked(ann_file, train_ann_file=other)
    checked(ann_file, train_ann_file=other, format_only=True, outfile_prefix=str(tmp_path / 'out'))


def test_unknown_classes_of_a_set_are_refused_before_the_test(ann_file):
    metric = MultiGrainedCocoMetric(ann_file=ann_file, class_sets={'tail': ['hat']})
    metric.dataset_meta = taxonomy_metainfo(TAXONOMY)
    with pytest.raises(EvaluationError, match="class_sets: 'tail': 'hat' is not a class"):
        metric.process({}, perfect(BOXES, 3)[:1])


@pytest.mark.parametrize('limit', [0, -1, 1.5, None])
def test_limits_that_are_none(limit):
    with pytest.raises(EvaluationError, match='max_dets=.*: must be a whole number from 1 on'):
        MultiGrainedCocoMetric(max_dets=limit)


@pytest.mark.parametrize('thresholds', [[0.5], 0.5, [0.4, *COCO[1:]], COCO[:9]])
def test_other_iou_thresholds(thresholds):
    """Results do not record them, so whatever reads one takes COCO's."""
    with pytest.raises(EvaluationError, match="^iou_thrs=.*COCO's.*; leave iou_thrs out$"):
        MultiGrainedCocoMetric(metric=['proposal', 'bbox'], iou_thrs=thresholds)
    MultiGrainedCocoMetric(iou_thrs=COCO)
    assert MultiGrainedCocoMetric(metric='proposal', iou_thrs=thresholds).iou_thrs == thresholds
