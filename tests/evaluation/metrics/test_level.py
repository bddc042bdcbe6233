"""The protocol *group*: keys, files, and detectors of groups and of classes."""

from __future__ import annotations

import json

import pytest

from mmdet_multigrain.evaluation import read_result
from mmdet_multigrain.report.runs.load import load_runs
from mmdet_multigrain.utils.errors import EvaluationError, ReportError, TaxonomyError

from .metric_cases import BOXES, TAXONOMY, coco_content, perfect, run, sample, write

TOP, BOTTOM = 0, 1
GROUP_OF = (TOP, TOP, BOTTOM, BOTTOM, BOTTOM)


def doubled():
    """Perfect detections, and one of another class of the group on each."""
    other = (1, 0, 3, 4, 2)
    return [
        sample(n, [row for box in BOXES if box[0] == n for row in (
            (*box[1:], 0.9 - n / 10), (other[box[1]], *box[2:], 0.85 - n / 10),
        )])
        for n in (1, 2, 3)
    ]  # fmt: skip


def of_groups():
    """Perfect detections of a detector of groups."""
    return [
        sample(n, [(GROUP_OF[box[1]], *box[2:], 0.9) for box in BOXES if box[0] == n])
        for n in (1, 2, 3)
    ]


def test_a_detector_of_classes_gives_one_answer_for_each_object(tmp_path, ann_file):
    out = dict(result_file=str(tmp_path / 'r.json'), outfile_prefix=str(tmp_path / 'r'))
    values = run(doubled(), ann_file, level='coarse', **out)
    assert values['coco/bbox_group_mAP'] == pytest.approx(1)
    assert not any('bbox_mAP' in key or 'superclass' in key for key in values)
    assert {'coco/top_precision', 'coco/bottom_precision'} <= values.keys()
    result = read_result(tmp_path / 'r.json')
    assert result.summary.protocol == 'group (coarse, maximum of detections)'
    assert (result.summary.num_detections, result.summary.max_dets) == (6, 100)
    assert [row.val_boxes for row in result.summary.fine.classes] == [3, 3]
    assert result.level.index == GROUP_OF and result.max_dets == 300
    ids = {item['category_id'] for item in json.loads((tmp_path / 'r.bbox.json').read_text())}
    assert len(ids) == 2 and max(ids) < 0  # the file has no category for a group


def test_a_detector_of_groups(tmp_path, ann_file):
    out = dict(result_file=str(tmp_path / 'r.json'), outfile_prefix=str(tmp_path / 'r'))
    train = dict(train_ann_file=ann_file, class_sets={'tail': ['vest']})
    values = run(of_groups(), ann_file, level='0', group_score='sum', **out, **train)
    assert values['coco/bbox_group_mAP'] == pytest.approx(1)
    result = read_result(tmp_path / 'r.json')
    assert result.summary.protocol == 'group (coarse, sum)' and not result.summary.class_sets
    assert [row.train_boxes for row in result.summary.fine.classes] == [3, 3]
    (loaded,) = load_runs([tmp_path / 'r.json'])
    assert loaded.ground_truth.box_counts(2).tolist() == [3, 3]
    assert sorted(loaded.detections.labels.tolist()) == [0, 0, 0, 1, 1, 1]


def test_objects_and_ground_truth_with_the_samples():
    samples = doubled()
    for number, data_sample in enumerate(samples, 1):
        data_sample['instances'] = [
            dict(bbox=[x, y, x + w, y + h], bbox_label=label, ignore_flag=0)
            for image, label, x, y, w, h in BOXES
            if image == number
        ]
    values = run(samples, level='object')
    assert values['coco/bbox_group_mAP'] == pytest.approx(1)
    assert values['coco/object_precision'] == pytest.approx(1)


def test_a_box_of_a_group_counts_and_has_its_category(tmp_path):
    content = coco_content(BOXES, 3)
    content['categories'].append({'id': 9, 'name': 'top'})
    content['annotations'][0]['category_id'] = 9
    ann_file = write(tmp_path / 'coarse.json', content)
    out = dict(result_file=str(tmp_path / 'r.json'), outfile_prefix=str(tmp_path / 'r'))
    values = run(of_groups(), ann_file, level='coarse', group_score='max', **out)
    assert values['coco/bbox_group_mAP'] == pytest.approx(1)
    result = read_result(tmp_path / 'r.json')
    assert [row.val_boxes for row in result.summary.fine.classes] == [3, 3]
    assert result.summary.protocol == 'group (coarse, maximum)'
    ids = [item['category_id'] for item in json.loads((tmp_path / 'r.bbox.json').read_text())]
    assert ids.count(9) == 3


def test_a_file_of_superclasses_only(tmp_path):
    content = coco_content(
        [(image, GROUP_OF[label], *box) for image, label, *box in BOXES],
        3, cat_ids=(5, 6), names=('top', 'Bottom'),
    )  # fmt: skip
    ann_file = write(tmp_path / 'coarse.json', content)
    values = run(doubled(), ann_file)
    assert values['coco/bbox_mAP'] == -1  # no class has a box
    assert values['coco/bbox_superclass_mAP'] < 1  # a second detection is a duplicate
    assert run(doubled(), ann_file, level='coarse')['coco/bbox_group_mAP'] == pytest.approx(1)


def test_runs_by_different_protocols_do_not_compare(tmp_path, ann_file):
    for name, samples, options in (
        ('leaf', perfect(BOXES, 3), {}),
        ('sum', of_groups(), dict(level='coarse', group_score='sum')),
        ('max', of_groups(), dict(level='coarse', group_score='max')),
    ):
        (tmp_path / name).mkdir()
        run(samples, ann_file, result_file=str(tmp_path / name / 'result.json'), **options)
    for names in (('leaf', 'sum'), ('sum', 'max')):
        with pytest.raises(ReportError, match='protocol .*; test both with one --level'):
            load_runs([tmp_path / name for name in names])


def test_files_of_detections_by_groups(tmp_path, ann_file):
    out = dict(outfile_prefix=str(tmp_path / 'dets'), result_file=str(tmp_path / 'leaf.json'))
    run(doubled(), ann_file, **out)
    run(doubled(), ann_file, level='coarse', result_file=str(tmp_path / 'coarse.json'))
    options = dict(ann_file=ann_file, train_ann_file=ann_file, level='coarse')
    (loaded,) = load_runs([tmp_path / 'dets.bbox.json'], taxonomy=TAXONOMY, **options)
    expected, found = read_result(tmp_path / 'coarse.json').summary, loaded.result.summary
    assert found.protocol == 'group (coarse, maximum of detections)' == expected.protocol
    assert (found.fine.coco, found.num_detections) == (expected.fine.coco, 6)
    assert [row.train_boxes for row in found.fine.classes] == [3, 3]
    assert loaded.detections.labels.tolist().count(TOP) == 3 and not loaded.doubt
    with pytest.raises(ReportError, match='holds its own numbers, so --level coarse cannot'):
        load_runs([tmp_path / 'leaf.json'], level='coarse')


def test_what_a_level_refuses(ann_file):
    with pytest.raises(EvaluationError, match="level='coarse': evaluates boxes only"):
        run([], ann_file, level='coarse', metric=['bbox', 'proposal'])
    with pytest.raises(TaxonomyError, match="level 'fine' is not in taxonomy"):
        run(of_groups(), ann_file, level='fine')
