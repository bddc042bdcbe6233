"""The tables of an experiment, by hand-computed numbers."""

from __future__ import annotations

import json

import pytest

from benchmarks.experiments.comparable import ComparisonError, equal_digests
from benchmarks.experiments.report import render
from tests.benchmarks.conftest import call


@pytest.fixture
def results(result_of):
    tails = {('wgroup', 1): 52.0, ('wogroup', 1): 50.0, ('wgroup', 2): 47.0, ('wogroup', 2): 41.0}
    tails |= {('wgroup', 3): 90.0, ('stock', 1): None}
    found = {key: result_of(*key, tail=tail) for key, tail in tails.items()}
    flat = dict(labels='superclasses', scores={'AP50': 77.0, 'AP': 44.0})
    return found | {('super', 1): result_of('super', 1, **flat)}


def test_tables(experiment_of, results, tmp_path):
    text = render(experiment_of(), results, tmp_path)
    assert '| 1 | 50.00 | 52.00 | +2.00 |\n| 2 | 41.00 | 47.00 | +6.00 |' in text
    assert '| mean | | | +4.00 (SD 2.83) |' in text
    assert '| wogroup | 2 | 45.50 | 60.00 | 30.00 | 70.00 |' in text
    assert '| wgroup | 3 | 63.00 | 60.00 | 30.00 | 70.00 |' in text
    assert '| stock | 1 | - | 60.00 | 30.00 | 70.00 |' in text
    assert '| super | 1 | - | - | - | 77.00 |' in text


def test_refuses_what_may_not_be_compared(experiment_of, results, tmp_path):
    results['stock', 1]['digest'] = 'other'
    with pytest.raises(ComparisonError):
        render(experiment_of(), results, tmp_path)


def test_no_look_before_all_replicates_are_done(experiment_of, results, tmp_path):
    del results['wogroup', 2]
    message = 'small: 1 of 2 replicates of wgroup and wogroup are done; there is no look before'
    with pytest.raises(ComparisonError, match=message):
        render(experiment_of(), results, tmp_path)


def test_command_prints_tables_or_records_equality(experiment_of, results, tmp_path):
    experiment_of()
    folder = tmp_path / 'results' / 'small'
    folder.mkdir(parents=True)
    for (variant, number), result in results.items():
        (folder / f'{variant}-{number:02d}.json').write_text(json.dumps(result))
    places = ['small', '--runs', tmp_path / 'runs.yaml', '--results', tmp_path / 'results']
    done = call('experiments.report', *places)
    assert '| mean | | | +4.00 (SD 2.83) |' in done.out, done.err
    other = tmp_path / 'other.json'
    other.write_text(json.dumps(results['wgroup', 2] | dict(digest='e' * 64)))
    assert call('experiments.report', *places, '--equal', other).status == 0
    assert set(equal_digests(folder)[0]) == {'d' * 64, 'e' * 64}
    other.write_text(json.dumps(results['wgroup', 2] | dict(replicate=7)))
    done = call('experiments.report', *places, '--equal', other)
    assert 'no result of wgroup, replicate 7' in done.error()
