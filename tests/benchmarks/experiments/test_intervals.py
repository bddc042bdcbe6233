"""Intervals of an experiment: which runs and classes they are of, and what they tell."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import stats

from benchmarks.experiments import report
from benchmarks.experiments.comparable import ComparisonError
from benchmarks.experiments.data import prepare
from benchmarks.experiments.intervals import (
    Plan,
    differences,
    interval_table,
    load_truth,
    plan_replicates,
    plan_runs,
    plan_text,
)
from benchmarks.experiments.packing import pack, unpack
from benchmarks.experiments.plan import Run
from benchmarks.experiments.report import render
from mmdet_multigrain.evaluation import Detections
from mmdet_multigrain.evaluation.functional import intervals
from mmdet_multigrain.evaluation.functional.intervals import Difference, Term
from tests.benchmarks.conftest import call

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
    evaluation = load_truth(experiment, results, source)
    found = differences(experiment, results, *evaluation, resamples=50)
    pair, groups, random = found  # wgroup and random share two replicates
    assert pair == ('wgroup', 'wogroup') and groups == ('wgroup', 'random')
    assert random == ('random', 'wogroup')
    expected = np.mean([ap50(n - 1) - ap50(n) for n in (1, 2, 3)])
    assert found[pair].value == pytest.approx(expected)
    assert found[random].value == pytest.approx(np.mean([100 - ap50(n) for n in (1, 2)]))
    assert found[pair].over_seeds and not found[random].over_seeds
    assert found[pair].num_images == 4
    assert found[groups].value == pytest.approx(np.mean([ap50(n - 1) - 100 for n in (1, 2)]))


def test_in_measures_of_all_classes_and_of_superclasses(experiment, results, source):
    evaluation = load_truth(experiment, results, source)
    pair = ('wgroup', 'wogroup')
    found = {
        measure: differences(experiment, results, *evaluation, measure=measure, resamples=20)[pair]
        for measure in ('tail AP50', 'AP50', 'superclass AP50', 'group AP50')
    }
    assert found['AP50'].value == pytest.approx(found['tail AP50'].value * 2 / 5)
    # Shirts and vests, 8 boxes of which some are missed; the other two groups are found.
    recalled = [(8 - missed) / 8 for missed in (0, 1, 2, 3)]
    ap = [100 * (math.floor(100 * recall) + 1) / 101 for recall in recalled]
    assert found['superclass AP50'].value == pytest.approx((ap[0] - ap[3]) / 3 / 3)
    assert found['superclass AP50'].num_images == 4
    assert found['group AP50'].value == pytest.approx(found['superclass AP50'].value)


def test_group_ap_is_that_of_suppressed_detections(experiment, results, source):
    """A second answer inside the group, at a box that a better one has found, does not count."""
    evaluation = load_truth(experiment, results, source)
    for key, result in results.items():
        if key[0] == 'wgroup':
            found = unpack(result['detections'])
            twice = found.labels == 0  # shirts, also as vests
            again = Detections(
                images=np.concatenate([found.images, found.images[twice]]),
                labels=np.concatenate([found.labels, found.labels[twice] + 1]),
                boxes=np.concatenate([found.boxes, found.boxes[twice]]),
                scores=np.concatenate([found.scores, found.scores[twice] + 0.2]),
            )
            result['detections'] = pack(again, 4, [9] * 5, box_step=1, score_step=0.1)
    pair = ('wgroup', 'wogroup')
    value = {
        measure: differences(experiment, results, *evaluation, measure=measure, resamples=9)[pair]
        for measure in ('group AP50', 'superclass AP50')
    }
    expected = [100 * (math.floor(100 * (8 - n) / 8) + 1) / 101 for n in (1, 2, 3)]
    expected = [100, *expected]
    assert value['group AP50'].value == pytest.approx((expected[0] - expected[3]) / 3 / 3)
    assert value['superclass AP50'].value < value['group AP50'].value


def test_report_has_all_comparisons_in_further_measures(
    experiment_of, results, source, tmp_path, monkeypatch
):
    monkeypatch.setattr(intervals, 'MIN_IMAGES', 4)  # as many as the set has
    experiment = experiment_of(
        replicates=3, compare=[['random', 'wgroup']], measures=['superclass AP']
    )
    boxes = dict(vest=dict(fine=2, coarse=7), hat=dict(fine=9, coarse=0))
    done = dict(share=0.75, reached=0.7512, photos=3, of_photos=4, boxes=boxes)
    results['random', 2]['coarse'] = done
    for result in results.values():
        result['scores']['superclass AP'] = 50.0
    text = render(experiment, results, tmp_path, source=source).full
    starts = [line.split('|')[1].strip() for line in text.splitlines() if line.startswith('| ')]
    compared = ['wgroup - wogroup', 'random - wgroup']
    begin = starts.index('comparison') + 1
    assert starts[begin : begin + 5] == [
        *compared,
        *(f'{pair}, superclass AP' for pair in compared),
        'lost in tail by',
    ]
    assert '| 75% | 2 | 75.1% (7) | 3 of 4 | vest 2, hat 9 |' in text
    assert 'the others (1) are adjusted together' in text


def test_command_writes_the_section(experiment, results, write_results, source, tmp_path):
    page, folder = tmp_path / 'page.md', write_results(results)
    page.write_text('<!-- begin small -->\n<!-- end small -->\n')
    places = ['--runs', tmp_path / 'runs.yaml', '--results', folder.parent, '--data', source]
    done = call('experiments.report', 'small', *places, '--write', page)
    assert done.status == 0 and done.out == '', done.err
    assert '[small](results/small)' in page.read_text()
    text = (folder / 'README.md').read_text()
    assert text.startswith('# small\n\nWritten by ')
    assert '| mean | | | +' in text and '| comparison |' in text


def test_other_evaluation_sets_are_refused(experiment, results, source):
    (source / 'draw.py').write_text(
        (source / 'draw.py').read_text().replace("'val', 4", "'val', 5")
    )
    with pytest.raises(ComparisonError, match='not the evaluation set of these results'):
        load_truth(experiment, results, source)


def test_the_other_half_of_the_photos_is_refused(experiment_of, results, source):
    experiment = experiment_of(data=dict(draw='draw.py', images='photos', half=2))
    load_truth(experiment, results, source)  # results from before the half was told
    for result in results.values():
        result['half'] = 2
    load_truth(experiment, results, source)
    results['wgroup', 2]['half'] = 1
    with pytest.raises(ComparisonError, match='not the evaluation set of these results'):
        load_truth(experiment, results, source)


def test_table_adjusts_all_but_the_primary():
    def of(value):
        return Difference(value, (Term(1.0, 9),), Term(0.0, 99), 100)

    found = {('a', 'z'): of(3.0), ('a', 'b'): of(3.0), ('c', 'z'): of(2.0)}
    text = interval_table(found, ('a', 'z'), dict.fromkeys(found, 10))
    rows = text.splitlines()[2:5]
    p = [float(row.split('|')[5]) for row in rows]
    assert p[1] == pytest.approx(2 * p[0], abs=0.001) and p[2] > p[1]
    assert rows[0].startswith('| a - z | 10 | +3.00 | +0.74 to +5.26 |')
    # Detectable, also without V_b, which is 0 here.
    assert rows[0].split('|')[6:9] == [' 3.15 ', ' +0.74 to +5.26 ', ' 3.15 ']
    assert 'the others (2) are adjusted together' in text


def test_on_these_photos_the_interval_is_shorter():
    one = Difference(3.0, (Term(1.0, 9),), Term(3.0, 99), 100)
    pair = ('a', 'z')
    row = interval_table({pair: one}, pair, {pair: 10}).splitlines()[2]
    interval, _, detectable, here, detectable_here = row.split('|')[4:9]
    assert here == ' +0.74 to +5.26 ' and interval != here
    assert float(detectable_here) == 3.15 < float(detectable)


def test_over_photos_only_there_is_no_p_and_no_part_in_holms_rule():
    one = Difference(3.0, (Term(1.0, 9),), Term(0.0, 99), 100)
    of = {('a', 'z'): one, ('b', 'z'): one, ('c', 'z'): Difference(9.0, (), Term(1.0, 99), 100)}
    rows = interval_table(of, ('a', 'z'), dict.fromkeys(of, 10)).splitlines()[2:]
    assert rows[2].startswith(
        '| c - z | 10 | +9.00 | +7.02 to +10.98 (over photos only: no conclusion) | - | '
    )
    assert rows[2].endswith(' | - | - |')
    assert rows[0].split('|')[5] == rows[1].split('|')[5]


def test_plan_by_hand():
    # V = s_d^2 / n + V_b in squared percentage points; df of the first term only.
    plan = plan_runs(9.0, 0.0, num_images=1000, target=2.5)

    def detectable(n):
        return stats.t.ppf([0.975, 0.8], n - 1).sum() * 3 / np.sqrt(n)

    assert detectable(plan.num_runs) <= 2.5 < detectable(plan.num_runs - 1)
    assert plan.detectable == plan.on_these_photos == pytest.approx(detectable(plan.num_runs))
    assert plan.enough and 6 < plan.num_runs < 20
    assert plan_runs(0.01, 0.01, num_images=1000, target=2.5).num_runs == 6
    short = plan_runs(16.0, 4.0, num_images=1000, target=2.5)
    assert short.num_runs == 20 and not short.enough
    assert short.on_these_photos < 2.7 < 2.5 + short.detectable
    df = 4.8**2 / (0.8**2 / 19 + 4**2 / 999)
    assert short.detectable == pytest.approx(stats.t.ppf([0.975, 0.8], df).sum() * np.sqrt(4.8))


def test_plan_by_the_rule():
    one = Difference(1.0, (Term(8.0 / 6, 5),), Term(0.1, 999), 1000)
    plan = plan_replicates(one, 6)
    assert 6 < plan.num_runs < 20 and plan.enough
    assert math.sqrt(8 / plan.num_runs + 0.1) * 2.8 < 2.5
    text = plan_text(one, 6, plan)
    assert f'6 replicates (s_d 2.83, V_b 0.100), {plan.num_runs} replicates show' in text
    assert '1.00' not in text  # the difference itself
    wide = Difference(1.0, (Term(80.0 / 6, 5),), Term(0.1, 999), 1000)
    assert plan_text(wide, 6, plan_replicates(wide, 6)).endswith(
        '; 20, the most allowed, do not reach 2.5.'
    )
    with pytest.raises(ComparisonError, match='2 replicates are too few to plan'):
        plan_replicates(Difference(1.0, (), Term(0.1, 9), 10), 2)


def test_report_with_data(experiment, results, source, tmp_path):
    found = render(experiment, results, tmp_path, source=source)
    text = found.full
    assert '| difference | replicates | tail AP50 |' in found.short
    assert 'no conclusion' not in found.short
    assert '| random - wogroup | 2 |' in text and '(over photos only: no conclusion)' in text
    assert 'the pilot' not in text


def of_plan(monkeypatch, number):
    """Let the pilot of the small experiment give this number."""
    plan = Plan(number, 2.0, 1.5, True)
    monkeypatch.setattr(report, 'plan_replicates', lambda one, count: plan)


def test_the_pilot_tells_the_number_and_nothing_else(
    experiment_of, results, source, tmp_path, monkeypatch
):
    experiment = experiment_of(replicates=3, pilot=3)
    of_plan(monkeypatch, 5)
    found = render(experiment, results, tmp_path, source=source)
    text = found.full
    assert found.short == text
    assert text.startswith('By the pilot of 3 replicates (s_d ') and text.endswith(
        'Write `replicates: 5` for small into the file of runs and commit it before replicate 4; '
        'no difference is shown before all are done.'
    )
    assert '|' not in text
    with pytest.raises(ComparisonError, match='name the data set.s folder: --data'):
        render(experiment, results, tmp_path)
    of_plan(monkeypatch, 3)
    text = render(experiment, results, tmp_path, source=source).full
    assert '| wgroup - wogroup | 3 |' in text and '3 replicates show a difference of 2.00' in text


def test_a_pilot_from_another_number_on(experiment_of, results, source, tmp_path, monkeypatch):
    of_plan(monkeypatch, 5)
    later = {
        (name, number + 200): result | dict(replicate=number + 200)
        for (name, number), result in results.items()
    }
    experiment = experiment_of(replicates=3, pilot=3, first=201)
    text = render(experiment, later, tmp_path, source=source).full
    assert text.startswith('By the pilot of 3 replicates') and 'before replicate 204' in text


@pytest.mark.parametrize('number', [4, 2])
def test_no_look_at_another_number_than_the_rule_gives(
    experiment_of, results, source, tmp_path, monkeypatch, number
):
    of_plan(monkeypatch, number)
    experiment = experiment_of(replicates=3, pilot=2)
    message = f'small has `replicates: 3`, but the rule gives {number}; there is no look'
    with pytest.raises(ComparisonError, match=message):
        render(experiment, results, tmp_path, source=source)


def test_the_plan_uses_the_pilot_only(experiment_of, results, source, tmp_path):
    experiment = experiment_of(replicates=3, pilot=2)
    with pytest.raises(ComparisonError, match='2 replicates are too few to plan'):
        render(experiment, results, tmp_path, source=source)
