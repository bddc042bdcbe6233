"""Intervals of an experiment: which runs and classes they are of, and what they tell."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from benchmarks.experiments import report
from benchmarks.experiments.comparable import ComparisonError
from benchmarks.experiments.data import prepare
from benchmarks.experiments.intervals import differences, interval_table, load_truth, plan_text
from benchmarks.experiments.packing import pack
from benchmarks.experiments.plan import Run
from benchmarks.experiments.report import render
from mmdet_multigrain.evaluation import Detections
from mmdet_multigrain.evaluation.functional.intervals import Difference, Term

MISSED = {  # boxes of vests (the first class of the set) that a run misses
    **{('wogroup', number): number for number in (1, 2, 3)},
    **{('wgroup', number): number - 1 for number in (1, 2, 3)},
    **{('random', number): 0 for number in (1, 2)},
}


@pytest.fixture
def experiment(experiment_of):
    return experiment_of(replicates=3)


@pytest.fixture
def results(experiment, source, result_of, tmp_path):
    """Runs that miss some vests and find everything else; `super` has other classes."""
    run = Run('small', 'wgroup', 1)
    data = prepare(experiment, run, source=source, folder=tmp_path / 'data')
    boxes = json.loads((data.folder / 'val.json').read_text())['annotations']
    found = {}
    for key, missed in MISSED.items():
        kept = [box for box in boxes if box['category_id'] != 2 or box['image_id'] > missed]
        detections = Detections(
            images=np.array([box['image_id'] - 1 for box in kept]),
            labels=np.array([box['category_id'] - 1 for box in kept]),
            boxes=np.array([box['bbox'] for box in kept], float),
            scores=np.full(len(kept), 0.5),
        )
        packed = pack(detections, 4, [9] * 5, box_step=1, score_step=0.1)
        train = prepare(
            experiment, Run('small', *key), source=source, folder=tmp_path / 'data'
        ).digests
        found[key] = result_of(*key, detections=packed, data=train)
    flat = dict(labels='superclasses', scores={}, data=found['wgroup', 1]['data'])
    return found | {('super', 1): result_of('super', 1, **flat)}


def ap50(missed: int) -> float:
    """Of vests, of which there are 4, and the mean with shorts, which are found."""
    return (100 * (1 + 25 * (4 - missed)) / 101 + 100) / 2 if missed else 100


def test_paired_by_replicate_on_the_classes_of_the_measure(experiment, results, source):
    truth, taxonomy = load_truth(experiment, results, source)
    found = differences(experiment, results, truth, taxonomy, resamples=50)
    assert list(found) == ['wgroup', 'random']
    expected = np.mean([ap50(n - 1) - ap50(n) for n in (1, 2, 3)])
    assert found['wgroup'].value == pytest.approx(expected)
    assert found['random'].value == pytest.approx(np.mean([100 - ap50(n) for n in (1, 2)]))
    assert found['wgroup'].over_seeds and not found['random'].over_seeds
    assert found['wgroup'].num_images == 4


def test_other_evaluation_sets_are_refused(experiment, results, source):
    (source / 'draw.py').write_text(
        (source / 'draw.py').read_text().replace("'val', 4", "'val', 5")
    )
    with pytest.raises(ComparisonError, match='not the evaluation set of these results'):
        load_truth(experiment, results, source)


def test_table_adjusts_all_but_the_primary():
    def of(value):
        return Difference(value, (Term(1.0, 9),), Term(0.0, 99), 100)

    rows = interval_table(dict(a=of(3.0), b=of(3.0), c=of(2.0)), 'a').splitlines()[2:]
    p = [float(row.split('|')[4]) for row in rows]
    assert p[1] == pytest.approx(2 * p[0], abs=0.001) and p[2] > p[1]
    assert rows[0].startswith('| a | +3.00 | +0.74 to +5.26 |')
    assert rows[0].split('|')[5:7] == [' 3.15 '] * 2  # detectable, also without V_b


def test_over_photos_only_there_is_no_p_and_no_part_in_holms_rule():
    of = {name: Difference(3.0, (Term(1.0, 9),), Term(0.0, 99), 100) for name in 'ab'}
    of['c'] = Difference(9.0, (), Term(1.0, 99), 100)
    rows = interval_table(of, 'a').splitlines()[2:]
    assert rows[2].startswith('| c | +9.00 | +7.02 to +10.98 (over photos only) | - | ')
    assert rows[0].split('|')[4] == rows[1].split('|')[4]


def test_plan_by_the_rule():
    one = Difference(1.0, (Term(8.0 / 6, 5),), Term(0.1, 999), 1000)
    text = plan_text(one, range(6))
    assert text.startswith('s_d 2.83, V_b 0.100: ')
    n = int(text.split(': ')[1].split()[0])
    assert 6 < n < 20 and '2.5' not in text.rpartition(')')[2]
    assert math.sqrt(8 / n + 0.1) * 2.8 < 2.5
    wide = Difference(1.0, (Term(80.0 / 6, 5),), Term(0.1, 999), 1000)
    assert plan_text(wide, range(6)).endswith('more than 2.5.')


def test_report_with_data(experiment, results, source, tmp_path):
    text = render(experiment, results, tmp_path, source=source)
    assert '| random |' in text and '(over photos only)' in text and 'replicates show' in text


def test_the_plan_uses_the_pilot_only(experiment, results, source, tmp_path, monkeypatch):
    plan = render(experiment, results, tmp_path, source=source).split('s_d')[1].splitlines()[0]
    monkeypatch.setattr(report, 'PILOT', 2)
    text = render(experiment, results, tmp_path, source=source)
    assert 'Too few replicates to plan.' in text and plan not in text
