"""Results: scores come from the packed detections, and from nothing else."""

from __future__ import annotations

import json

import pytest

from benchmarks.experiments.data import prepare
from benchmarks.experiments.packing import unpack
from benchmarks.experiments.plan import Run
from benchmarks.experiments.results import make_result, read_truth, score
from mmdet_multigrain.evaluation.functional.coco_eval import evaluate_detections


@pytest.fixture
def result(experiment_of, source, tmp_path):
    """Of detections that find every box, but those of skirts a little too far to the right."""
    experiment, run = experiment_of(), Run('small', 'wgroup', 3)
    folder = prepare(experiment, run, source=source, folder=tmp_path / 'data').folder
    truth = json.loads((folder / 'val.json').read_text())
    found = [
        dict(
            image_id=item['image_id'],
            category_id=item['category_id'],
            bbox=[item['bbox'][0] + 2 * (item['category_id'] == 3), *item['bbox'][1:]],
            score=0.9 - item['image_id'] / 10,
        )
        for item in truth['annotations']
    ]
    (tmp_path / 'found.json').write_text(json.dumps(found))

    def make(**packing):
        experiment.packing.update(packing)
        return make_result(
            experiment, run, folder=folder, detections=tmp_path / 'found.json', commit='abc'
        )

    return make


def test_scores_by_class_and_set(result, tmp_path):
    values = result()
    assert values['classes']['vest'] == dict(AP=100, AP50=100, train_boxes=3, val_boxes=4)
    assert values['classes']['skirt'] == dict(AP=40, AP50=100, train_boxes=3, val_boxes=4)
    assert values['scores']['tail AP50'] == 100
    assert values['scores']['AP'] == pytest.approx(88)
    assert values['commit'] == 'abc' and values['hardware'] and values['versions']['torch']
    assert str(tmp_path) not in json.dumps(values)


def test_the_half_of_the_photos_is_told(experiment_of, source, tmp_path):
    experiment = experiment_of(data=dict(draw='draw.py', images='photos', half=2))
    run = Run('small', 'wgroup', 3)
    folder = prepare(experiment, run, source=source, folder=tmp_path / 'data').folder
    (tmp_path / 'found.json').write_text('[]')
    made = make_result(experiment, run, folder=folder, detections=tmp_path / 'found.json')
    assert made['half'] == 2 and made['detections']['images'] == 2


@pytest.mark.parametrize(
    'keys',
    [
        dict(measures=['group AP']),
        dict(primary=dict(variant='wgroup', reference='wogroup', measure='group AP')),
    ],
)
def test_group_ap_counts_a_second_answer_inside_a_group_once(
    experiment_of, source, tmp_path, result, keys
):
    assert 'group AP' not in result()['scores']
    experiment, run = experiment_of(**keys), Run('small', 'wgroup', 3)
    experiment.packing.update(per_box=2)
    folder = tmp_path / 'data'
    truth = json.loads((folder / 'val.json').read_text())['annotations']
    # Each shirt (class 1) is also found as a vest (2), of the same group, with a higher score.
    found = [
        dict(image_id=box['image_id'], category_id=label, bbox=box['bbox'], score=score)
        for box in truth
        for label, score in {1: {2: 0.9, 1: 0.8}}.get(
            box['category_id'], {box['category_id']: 0.5}
        ).items()
    ]
    path = tmp_path / 'twice.json'
    path.write_text(json.dumps(found))
    scores = make_result(experiment, run, folder=folder, detections=path)['scores']
    assert scores['group AP'] == scores['group AP50'] == 100
    assert scores['superclass AP50'] < 100


def test_what_was_not_packed_does_not_count(result):
    values = result(per_box=0, at_least=2)  # of the 4 boxes of a class
    assert values['detections']['dropped'] == 5 * 2
    expected = 100 * 51 / 101  # recall up to 0.5
    assert values['scores']['tail AP50'] == pytest.approx(expected)
    assert values['classes']['hat']['AP50'] == pytest.approx(expected)


def test_scores_can_be_computed_again_from_the_file(result, experiment_of, tmp_path):
    values = json.loads(json.dumps(result()))
    truth, taxonomy, _ = read_truth(tmp_path / 'data' / 'val.json')
    train, *_ = read_truth(tmp_path / 'data' / 'train.json')
    sets = experiment_of().class_sets
    again = score(values['detections'], truth, taxonomy, sets, train.box_counts(5).tolist())
    assert {key: values[key] for key in again} == again
    plain = evaluate_detections(truth, unpack(values['detections']), num_classes=5)
    assert [row['AP50'] for row in values['classes'].values()] == pytest.approx(
        (100 * plain.class_ap(iou=0.5)).tolist()
    )
