"""Flat controls next to detectors of classes, at the level of groups and of objects."""

from __future__ import annotations

import functools
import json
from collections import Counter

import numpy as np
import pytest

from benchmarks.experiments.comparable import ComparisonError
from benchmarks.experiments.data import prepare
from benchmarks.experiments.flat import compare_flat
from benchmarks.experiments.intervals import draw_scores, load_truth
from benchmarks.experiments.packing import pack
from benchmarks.experiments.plan import Run
from benchmarks.experiments.report import render
from benchmarks.experiments.results import make_result
from mmdet_multigrain.evaluation import Detections
from mmdet_multigrain.evaluation.functional import intervals

VARIANTS = [
    dict(name='wgroup', config='wgroup.py'),
    dict(name='wogroup', config='wogroup.py'),
    dict(name='stock', config='stock.py'),
    dict(name='wide', config='stock.py', options={'width': 476}),
    dict(name='super', config='stock.py', labels='superclasses'),
    dict(name='object', config='stock.py', labels='object'),
]
CLASSES = ('shirt', 'vest', 'skirt', 'shorts', 'hat')
SHIRT, VEST, SKIRT, SHORTS, HAT = range(5)
# In another order than the taxonomy has.
GROUPS = ('head', 'top', 'bottom')
GROUP_OF = (1, 1, 2, 2, 0)


@pytest.fixture
def experiment(experiment_of):
    return experiment_of(variants=VARIANTS, replicates=3)


@pytest.fixture
def make(experiment, source, result_of, tmp_path):
    """Makes a result from (image, class of the box, label, score) of each detection."""

    @functools.cache
    def digests(number):
        run = Run('small', 'wgroup', number)
        return prepare(experiment, run, source=source, folder=tmp_path / 'data').digests

    def make(variant, number, found, classes=CLASSES):
        columns = np.array(found, float).reshape(-1, 4)
        detections = Detections(
            images=columns[:, 0].astype(int),
            labels=columns[:, 2].astype(int),
            boxes=np.array([[10 * box, 10 * box, 10, 10] for box in columns[:, 1]]),
            scores=columns[:, 3],
        )
        limits = [99] * len(classes)
        labels = {CLASSES: 'classes', GROUPS: 'superclasses'}.get(classes, 'object')
        return result_of(
            variant,
            number,
            labels=labels,
            classes={name: dict(AP50=50.0, train_boxes=9) for name in classes},
            data=digests(number),
            detections=pack(detections, 4, limits, box_step=1, score_step=0.1),
        )

    return make


BOXES = [(image, box) for image in range(4) for box in range(5)]


@pytest.fixture
def results(make):
    """Three replicates of each variant; all detect every box but for what is said."""
    right = [(image, box, box, 0.5) for image, box in BOXES]
    # A shirt is a vest, too: another answer inside the group.
    twice = [(image, SHIRT, VEST, 0.7) for image in range(4)]
    # A skirt is a hat, too, of another group.
    wrong = [(image, SKIRT, HAT, 0.6) for image in range(4)]
    without_hats = [one for one in right if one[1] != HAT]
    found = {}
    for number in (1, 2, 3):
        found['wgroup', number] = make('wgroup', number, right + twice)
        found['wogroup', number] = make('wogroup', number, right + wrong)
        found['stock', number] = make('stock', number, without_hats)
        # Of 8 boxes of tops, and of 20 objects, all but 0, 1 and 2 in turn.
        kept = [(*one, 0.5) for one in BOXES if one[1] != VEST or one[0] >= number - 1]
        flat = [(image, box, GROUP_OF[box], score) for image, box, score in kept]
        found['super', number] = make('super', number, flat, GROUPS)
        flat = [(image, box, 0, score) for image, box, score in kept]
        found['object', number] = make('object', number, flat, ('object',))
    return found


def ap50(recall: float) -> float:
    """Of detections that are all right: the share of recalls 0, 0.01, ..., 1 that they reach."""
    return 100 * np.mean(np.linspace(0, 1, 101) <= recall)


SUPER = np.mean([(ap50(recall) + 200) / 3 for recall in (8 / 8, 7 / 8, 6 / 8)])
OBJECT = np.mean([ap50(recall) for recall in (20 / 20, 19 / 20, 18 / 20)])
# Four hats that are skirts come before the four right ones: precision is 1/2 at best.
ROWS = f"""| variant | replicates | AP50 | protocol |
|---|---|---|---|
| wgroup | 3 | 100.00 | group (coarse, maximum of detections) |
| wogroup | 3 | {250 / 3:.2f} | group (coarse, maximum of detections) |
| stock | 3 | {200 / 3:.2f} | group (coarse, maximum of detections) |
| super | 3 | {SUPER:.2f} | group (coarse, as detected) |
"""
OBJECT_ROWS = f"""| wgroup | 3 | 100.00 | group (object, maximum of detections) |
| wogroup | 3 | 100.00 | group (object, maximum of detections) |
| stock | 3 | {ap50(16 / 20):.2f} | group (object, maximum of detections) |
| object | 3 | {OBJECT:.2f} | group (object, as detected) |
"""


def test_next_to_those_of_the_same_recipe(experiment, results, source):
    evaluation = load_truth(experiment, results, source)
    table, found = compare_flat(experiment, results, *evaluation, resamples=20)
    assert table.splitlines()[:10] == (ROWS + OBJECT_ROWS).splitlines()
    assert found.keys() == {
        ('wgroup', 'super', 'group AP50'),
        ('wgroup', 'object', 'object AP50'),
    }
    assert found['wgroup', 'super', 'group AP50'].value == pytest.approx(100 - SUPER)
    one = found['wgroup', 'object', 'object AP50']
    assert one.value == pytest.approx(100 - OBJECT)
    assert one.over_seeds and one.num_images == 4


def test_in_the_metric_of_the_question(experiment_of, results, source):
    primary = dict(variant='wgroup', reference='wogroup', measure='tail AP')
    experiment = experiment_of(variants=VARIANTS, replicates=3, primary=primary)
    evaluation = load_truth(experiment, results, source)
    table, found = compare_flat(experiment, results, *evaluation, resamples=5)
    assert '| replicates | AP | protocol |' in table
    assert {measure for *_, measure in found} == {'group AP', 'object AP'}


@pytest.mark.parametrize(
    ('missing', 'shown'),
    [(('object', 3), ['super']), (('super', 1), ['object']), (('stock', 2), [])],
)
def test_not_before_all_replicates_are_done(experiment, results, source, missing, shown):
    del results[missing]
    evaluation = load_truth(experiment, results, source)
    table, found = compare_flat(experiment, results, *evaluation, resamples=5)
    assert [control for _, control, _ in found] == shown
    assert bool(table) == bool(shown)


def test_a_control_with_fewer_replicates(experiment_of, results, source):
    fewer = [one | dict(replicates=2) if one['name'] == 'super' else one for one in VARIANTS]
    experiment = experiment_of(variants=fewer, replicates=3)
    del results['super', 3], results['stock', 3]
    evaluation = load_truth(experiment, results, source)
    table, found = compare_flat(experiment, results, *evaluation, resamples=5)
    assert '| super | 2 |' in table and '| wgroup | 2 | 100.00 |' in table
    assert [one.over_seeds for one in found.values()] == [False]


def test_differences_join_the_others_in_holms_rule(
    experiment, results, source, tmp_path, monkeypatch
):
    monkeypatch.setattr(intervals, 'MIN_IMAGES', 4)  # as many as the set has
    text = render(experiment, results, tmp_path, source=source).full
    assert text.index(ROWS + OBJECT_ROWS) < text.index('| comparison |')
    assert f'| wgroup - super, group AP50 | 3 | {100 - SUPER:+.2f} |' in text
    assert f'| wgroup - object, object AP50 | 3 | {100 - OBJECT:+.2f} |' in text
    assert 'the others (3) are adjusted together' in text
    del results['super', 1], results['object', 1]
    text = render(experiment, results, tmp_path, source=source).full
    assert 'protocol' not in text and 'the others (1) are adjusted together' in text


def test_flat_detections_are_not_suppressed(experiment, make, source):
    """Skirts are found twice: after 4 right ones come 4 duplicates, then 4 shorts."""
    scores = {SKIRT: 0.7, SHORTS: 0.3}
    flat = [(image, box, GROUP_OF[box], scores.get(box, 0.5)) for image, box in BOXES]
    flat += [(image, SKIRT, GROUP_OF[SKIRT], 0.5) for image in range(4)]
    results = {('super', 1): make('super', 1, flat, GROUPS)}
    evaluation = load_truth(experiment, results, source)
    drawn, images = draw_scores(experiment, results, *evaluation, measure='group AP50', resamples=2)
    bottoms = 100 * (51 + 50 * 8 / 12) / 101
    assert drawn['super', 1].shape == (3,) and images == 4
    assert drawn['super', 1][0] == pytest.approx((200 + bottoms) / 3)


@pytest.mark.parametrize(
    ('variant', 'measure'),
    [('super', 'AP50'), ('super', 'object AP50'), ('object', 'group AP50'), ('super', 'tail AP')],
)
def test_flat_detectors_have_no_score_of_other_labels(
    experiment, results, source, variant, measure
):
    evaluation = load_truth(experiment, results, source)
    one = {(variant, 1): results[variant, 1]}
    with pytest.raises(ComparisonError, match=f'{variant} detects .*, which this measure is not'):
        draw_scores(experiment, one, *evaluation, measure=measure, resamples=2)


@pytest.mark.parametrize(
    ('variant', 'measure', 'expected'),
    [('super', 'group AP50', 200 / 3), ('object', 'object AP50', ap50(16 / 20))],
)
def test_results_of_runs_that_find_no_hat(experiment, source, tmp_path, variant, measure, expected):
    experiment.packing.update(at_least=9)
    run = Run('small', variant, 1)
    data = prepare(experiment, run, source=source, folder=tmp_path / 'data')
    boxes = json.loads((data.folder / 'val.json').read_text())['annotations']
    seen, found = Counter(), []
    for box in boxes:
        seen[box['image_id']] += 1
        if seen[box['image_id']] <= HAT:
            keys = ('image_id', 'category_id', 'bbox')
            found.append({key: box[key] for key in keys} | dict(score=0.5))
    path = tmp_path / 'found.json'
    path.write_text(json.dumps(found))
    labels = experiment.variant(variant).labels
    facts = dict(labels=labels, data=data.digests)
    result = make_result(experiment, run, folder=data.folder, detections=path, **facts)
    results = {(variant, 1): json.loads(json.dumps(result))}
    evaluation = load_truth(experiment, results, source)
    drawn, _ = draw_scores(experiment, results, *evaluation, measure=measure, resamples=2)
    assert drawn[variant, 1][0] == pytest.approx(expected)
    assert result['scores']['AP50'] == pytest.approx(expected)
