"""Folds: how photos are dealt out, and what their results say together."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from benchmarks.experiments.comparable import ComparisonError, check_comparable
from benchmarks.experiments.data import prepare
from benchmarks.experiments.folds import by_replicate, deal, join
from benchmarks.experiments.intervals import differences, load_truth
from benchmarks.experiments.packing import pack
from benchmarks.experiments.plan import Run
from mmdet_multigrain.evaluation import Detections
from mmdet_multigrain.utils.errors import ConfigError
from tests.benchmarks.experiments.conftest import CLASSES

FOLDS = dict(images='photos', folds=2)


@pytest.fixture
def source(tmp_path):
    """Eight photos in train.json, four in val.json, each with a box of every class."""
    folder = tmp_path / 'set'
    (folder / 'photos').mkdir(parents=True)
    categories = [
        dict(id=number, name=name, supercategory=group)
        for number, (name, group) in enumerate(CLASSES.items(), 1)
    ]
    noise = np.random.RandomState(0)
    for part, ids in (('train', range(1, 9)), ('val', range(9, 13))):
        for image in ids:
            photo = noise.randint(0, 255, (64, 64, 3), np.uint8)
            cv2.imwrite(str(folder / 'photos' / f'{image}.png'), photo)
        images = [dict(id=n, file_name=f'{n}.png', width=64, height=64) for n in ids]
        boxes = [
            dict(image_id=n, category_id=k, bbox=[10 * k, 10 * k, 10, 10], area=100, iscrowd=0)
            for n in ids
            for k in range(1, 6)
        ]
        numbered = [dict(box, id=number) for number, box in enumerate(boxes, 1)]
        content = dict(images=images, annotations=numbered, categories=categories)
        (folder / f'{part}.json').write_text(json.dumps(content))
    return folder


def test_every_photo_is_evaluated_on_once(source):
    dealt = [deal(source, source / 'photos', folds=3, fold=fold) for fold in (1, 2, 3)]
    seen = [{image['id'] for image in fold['val']['images']} for fold in dealt]
    assert sorted(n for fold in seen for n in fold) == list(range(1, 13))
    for fold, val in zip(dealt, seen, strict=True):
        assert {image['id'] for image in fold['train']['images']} == set(range(1, 13)) - val
        for content in fold.values():
            ids = [item['id'] for item in content['annotations']]
            assert len(set(ids)) == len(ids) == 5 * len(content['images'])
    assert dealt[0] == deal(source, source / 'photos', folds=3, fold=1)


def test_files_that_do_not_belong_together(source):
    path = source / 'val.json'
    content = json.loads(path.read_text())
    content['images'][0]['id'] = 1
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match='an image id in common'):
        deal(source, source / 'photos', folds=2, fold=1)


def test_runs_of_a_fold_share_it_in_all_replicates(experiment_of, source, tmp_path):
    experiment = experiment_of(data=FOLDS)
    data = {
        run: prepare(experiment, run, source=source, folder=tmp_path / run.name)
        for run in experiment.runs()
        if run.variant in experiment.pair
    }
    for fold in (1, 2):
        assert len({str(one.digests) for run, one in data.items() if run.fold == fold}) == 1
    assert len({str(one.digests) for one in data.values()}) == 2


def rows(**values):
    return {
        name: dict(AP=ap, AP50=ap, train_boxes=1, val_boxes=boxes)
        for name, (ap, boxes) in values.items()
    }


@pytest.fixture
def parts(result_of):
    one = dict(
        classes=rows(vest=(60, 1), hat=(10, 2), tie=(None, 0)), superclasses=rows(top=(8, 1))
    )
    two = dict(classes=rows(vest=(20, 3), hat=(None, 0), tie=(None, 0)), superclasses={})
    return [result_of('wgroup', 1, fold=n, **part) for n, part in enumerate((one, two), 1)]


def test_weights_are_boxes(parts):
    joined = join(parts, dict(tail=['vest'], all=['vest', 'hat', 'tie'], unknown=['sock']))
    assert joined['classes']['vest'] == dict(AP=30, AP50=30, val_boxes=4)
    assert joined['classes']['hat']['AP'] == 10 and joined['classes']['tie']['AP'] is None
    assert joined['scores'] == {
        **{'AP': 20, 'AP50': 20, 'superclass AP': 8, 'superclass AP50': 8},
        **{'tail AP': 30, 'tail AP50': 30, 'all AP': 20, 'all AP50': 20},
    }
    assert joined['minutes'] == 40 and joined['parts'] == parts


def test_a_replicate_has_all_folds(experiment_of, parts):
    experiment = experiment_of(data=FOLDS)
    runs = {Run('small', 'wgroup', 1, part['fold']): part for part in parts}
    assert list(by_replicate(experiment, runs)) == [('wgroup', 1)]
    del runs[Run('small', 'wgroup', 1, 2)]
    assert by_replicate(experiment, runs) == {}


def test_folds_of_a_replicate_may_differ_in_data(result_of, tmp_path):
    one, two = (result_of('wgroup', 1, fold=n, data=dict(train=n, val=n)) for n in (1, 2))
    check_comparable([one, two], tmp_path)
    other = result_of('wogroup', 1, fold=2, data=dict(train=2, val=3))
    with pytest.raises(ComparisonError, match='results of replicate 1, fold 2 differ in data'):
        check_comparable([one, two, other], tmp_path)


def test_photos_are_resampled_within_folds(experiment_of, source, result_of, tmp_path):
    """`wogroup` finds no vest in fold 1; the sizes of the folds never vary."""
    experiment = experiment_of(data=dict(FOLDS, folds=3), replicates=3)
    done = {}
    for run in experiment.runs():
        if run.variant not in experiment.pair:
            continue
        data = prepare(experiment, run, source=source, folder=tmp_path / 'data')
        content = json.loads((data.folder / 'val.json').read_text())
        place = {image['id']: row for row, image in enumerate(content['images'])}
        blind = run.variant == 'wogroup' and run.fold == 1
        kept = [box for box in content['annotations'] if not blind or box['category_id'] != 2]
        found = Detections(
            images=np.array([place[box['image_id']] for box in kept]),
            labels=np.array([box['category_id'] - 1 for box in kept]),
            boxes=np.array([box['bbox'] for box in kept], float),
            scores=np.full(len(kept), 0.5),
        )
        packed = pack(found, len(place), [9] * 5, box_step=1, score_step=0.1)
        name = run.variant, run.replicate
        common = dict(classes={}, superclasses={}, data=data.digests)
        done[run] = result_of(*name, fold=run.fold, detections=packed, **common)
    results = by_replicate(experiment, done)
    truths, taxonomy = load_truth(experiment, results, source)
    one = differences(experiment, results, truths, taxonomy, resamples=40)['wgroup', 'wogroup']
    share = truths[0].box_counts(5)[1] / 12
    assert one.value == pytest.approx(100 * share / 2)  # vests of the fold, of two classes
    assert one.num_images == 12
    assert one.photos.variance == pytest.approx(0, abs=1e-9)
    results['wgroup', 1]['parts'][2]['data']['val'] = 'other'
    with pytest.raises(ComparisonError, match='not the evaluation set'):
        load_truth(experiment, results, source)
