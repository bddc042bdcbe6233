"""Files of runs: damaged detections, missing classes, what is not a run."""

import math

import numpy as np
import pytest

from mmdet_multigrain.report.runs.inputs import TestSet, read_detections
from mmdet_multigrain.report.runs.load import load_runs
from mmdet_multigrain.taxonomy import Taxonomy, TaxonomyError
from mmdet_multigrain.utils.errors import AnnotationError, EvaluationError, ReportError

from .made_work_dirs import DETECTIONS, GARMENTS, edit, found, ground_truth, write


def test_missing_classes_of_detections_alone(make):
    folder = make('a')
    with pytest.raises(TaxonomyError, match="val.json: 1 of 3 categories not in .* 'skirt'"):
        load_runs(
            [folder / 'result.bbox.json'],
            ann_file=make.truth,
            taxonomy=Taxonomy('t', ['vest', 'sling']),
        )
    with pytest.raises(TaxonomyError, match="1 of 4 classes .* not among the categories: 'hat'"):
        load_runs(
            [folder / 'result.bbox.json'],
            ann_file=make.truth,
            taxonomy=Taxonomy('t', ['vest', 'sling', 'skirt', 'hat']),
        )


@pytest.mark.parametrize(
    ('entry', 'message'),
    [
        (
            found(5, 'vest', 0.5),
            '1 of 4 detections have an image id that .*val.json lacks .first: 5',
        ),
        (found(7, 'vest', 0.5) | {'category_id': 1}, 'have a category id .* lacks .first: 1'),
        (found(7, 'vest', math.nan), '1 of 4 detections have a score or box that is not finite'),
        (found(7, 'vest', 0.5, [1, 2, math.inf, 3]), 'not finite'),
        (found(7, 'vest', None), '1 of 4 .* score nan'),
        (found(7, 'vest', 'high'), "entry 3 has score 'high'"),
        (found(7, 'vest', 0.5, [1, 2, 3]), r'entry 3 has bbox \[1, 2, 3\]'),
        (found(7, 'vest', 0.5, None), 'entry 3 has bbox None'),
        (found(7, 'vest', 0.5, [9, 9, -5, 4]), r'entry 3 has bbox \[9, 9, -5, 4\], with a width'),
        ({'image_id': 7}, 'entry 3 has category_id None'),
        (found([7], 'vest', 0.5), r'entry 3 has image_id \[7\]'),
        (7, 'entry 3 has image_id None'),
    ],
)
def test_damaged_detections(make, tmp_path, entry, message):
    make('a')
    path = write(tmp_path / 'dets.json', [*DETECTIONS, entry])
    with pytest.raises(ReportError, match=message) as caught:
        load_runs([path], ann_file=make.truth)
    assert str(caught.value).startswith(f'{path}: ') and '\n' not in str(caught.value)


def test_no_detections_is_legal(make, tmp_path):
    path = write(tmp_path / 'dets.json', [])
    (run,) = load_runs([f'{path}:{make.truth}'])
    assert run.result.summary.fine.coco['AP'] == 0 and len(run.detections.scores) == 0
    assert run.detections.boxes.shape == (0, 4)


def test_detections_of_categories_without_a_label_are_left_out(make, tmp_path):
    content = ground_truth()
    content['categories'].append({'id': 99, 'name': 'hat', 'supercategory': 'none'})
    test_set = TestSet(write(tmp_path / 'more.json', content), GARMENTS, False)
    path = write(tmp_path / 'dets.json', [found(7, 'vest', 0.9) | {'category_id': 99}, *DETECTIONS])
    assert read_detections(path, test_set).scores.tolist() == [0.9, 0.8, 0.7]


def test_what_is_no_run(make, tmp_path):
    folder = make('a')
    empty = tmp_path / 'empty'
    empty.mkdir()
    cases = [
        (empty, ReportError, 'empty: no result.json in this folder; write it with tools/test.py'),
        (tmp_path / 'none', ReportError, 'none: no such run or file'),
        (folder / 'result.bbox.json', ReportError, 'need their ground truth; write .*--ann-file'),
        (
            f'{folder / "result.bbox.json"}:{tmp_path / "none.json"}',
            ReportError,
            'none.json: no such',
        ),
        (make.truth, EvaluationError, 'no result of a test'),
        (
            edit(make('b') / 'result.json', schema_version=1),
            EvaluationError,
            'of schema version 1, this is',
        ),
        (
            write(tmp_path / 'x' / 'result.json', {'schema_version': 3}),
            EvaluationError,
            'not a whole result',
        ),
    ]
    for spec, kind, message in cases:
        with pytest.raises(kind, match=message) as caught:
            load_runs([spec])
        assert '\n' not in str(caught.value)
    half = tmp_path / 'half.json'
    half.write_text('[{"image_id": 7')
    with pytest.raises(ReportError, match='half.json: not valid JSON'):
        load_runs([half], ann_file=make.truth)
    with pytest.raises((AnnotationError, TaxonomyError), match='half.json'):
        load_runs([f'{write(tmp_path / "dets.json", [])}:{half}'])


def test_digest_sees_every_column(make, tmp_path):
    base = TestSet(make.truth, GARMENTS, False).digest
    for number, change in enumerate(
        [
            lambda c: c['annotations'][0].update(image_id=9),
            lambda c: c['annotations'][0].update(category_id=10),
            lambda c: c['annotations'][0].update(bbox=[5, 5, 20, np.nextafter(40, 41)]),
            lambda c: c['annotations'][0].update(iscrowd=1),
            lambda c: c['images'].append({'id': 1, 'file_name': 'x', 'width': 1, 'height': 1}),
        ]
    ):
        content = ground_truth()
        change(content)
        path = write(tmp_path / f'{number}.json', content)
        assert TestSet(path, GARMENTS, False).digest != base, number


@pytest.mark.parametrize(
    ('read', 'said'),
    [
        (str, 'ids as text'),
        (lambda id: f'a/{id:04}.jpg', 'file names'),
        (lambda id: f'{id:04}.jpg', 'file names without folders'),
        (lambda id: f'a/{id:04}', 'file names without suffixes'),
        (lambda id: f'{id:04}', 'stems of file names'),
    ],
)
def test_image_ids_of_other_frameworks_are_mapped(read, said, tmp_path, capsys):
    content = ground_truth()
    for image in content['images']:
        image['file_name'] = f'a/{image["id"]:04}.jpg'
    test_set = TestSet(write(tmp_path / 'truth.json', content), GARMENTS, False)
    as_they_are = read_detections(write(tmp_path / 'a.json', DETECTIONS), test_set)
    assert capsys.readouterr().out == ''
    foreign = [{**item, 'image_id': read(item['image_id'])} for item in DETECTIONS]
    mapped = read_detections(write(tmp_path / 'b.json', foreign), test_set)
    assert mapped.images.tolist() == as_they_are.images.tolist()
    assert f'b.json: its image ids are {said} of' in capsys.readouterr().out


def test_boxes_of_a_superclass_are_crowds_of_its_classes(tmp_path):
    content = ground_truth()
    content['categories'].append({'id': 40, 'name': 'Top'})
    coarse = {'image_id': 9, 'category_id': 40, 'bbox': [1.0, 2.0, 9.0, 9.0]}
    content['annotations'].append({'id': 4, 'iscrowd': 0, 'area': 81, **coarse})
    test_set = TestSet(write(tmp_path / 'val.json', content), GARMENTS, lenient=False)
    truth = test_set.ground_truth
    assert truth.labels.tolist() == [0, 2, 1, 0, 1]
    assert truth.crowd.tolist() == [False, False, False, True, True]
    assert truth.boxes[3:].tolist() == [coarse['bbox']] * 2
    path = write(tmp_path / 'dets.json', [*DETECTIONS, {**coarse, 'score': 0.5}])
    assert read_detections(path, test_set).labels.tolist() == [0, 0, 2]
    (run,) = load_runs([path], ann_file=test_set.path, taxonomy=GARMENTS)
    assert [row.val_boxes for row in run.result.summary.fine.classes] == [1, 1, 1]


@pytest.mark.parametrize(
    'lineage',
    [
        None,
        0.5,
        [0.5],
        [0.1, 0.2, 0.3],
        [0.6, 0.5],
        [0.5, 1.1],
        [-0.1, 1],
        ['a', 'b'],
        [0.5, None],
        [0.5, math.nan],
    ],
)
def test_damaged_lineages(make, tmp_path, lineage):
    whole = [item | {'lineage': [0.25, 0.75]} for item in DETECTIONS]
    truth = TestSet(make.truth, GARMENTS, True)
    path = write(tmp_path / 'dets.json', whole)
    assert read_detections(path, truth).lineages.tolist() == [[0.25, 0.75]] * 3
    write(path, [*whole, DETECTIONS[0] | {'lineage': lineage}])
    with pytest.raises(ReportError, match='dets.json: entry 3 has lineage .*; each needs 2 prob'):
        read_detections(path, truth)
    write(path, [DETECTIONS[0], *whole])
    with pytest.raises(ReportError, match='entry 0 has lineage None'):
        read_detections(path, truth)
