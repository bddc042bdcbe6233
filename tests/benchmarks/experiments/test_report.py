"""The tables of an experiment, by hand-computed numbers."""

from __future__ import annotations

import json

import pytest

from benchmarks.experiments.comparable import ComparisonError, equal_digests
from benchmarks.experiments.plan import Run
from benchmarks.experiments.report import render, section, write_section
from tests.benchmarks.conftest import call


def test_tables(experiment_of, results, tmp_path):
    report = render(experiment_of(), results, tmp_path)
    text = report.full
    assert '| 1 | 50.00 | 52.00 | +2.00 |\n| 2 | 41.00 | 47.00 | +6.00 |' in text
    assert '| mean | | | +4.00 (SD 2.83) |' in text
    assert report.short.endswith('Planned, not run: random.\n\n' + text.rpartition('\n\n')[2])
    assert '| mean' not in report.short


def test_every_machine_is_named(experiment_of, results, tmp_path):
    assert 'cpu: a processor, one thread.' in render(experiment_of(), results, tmp_path).full
    results['stock', 1]['hardware'] = 'another'
    text = render(experiment_of(), results, tmp_path).full
    assert 'cpu: a processor (6 runs); another (1 run), one thread.' in text


def test_every_commit_is_named(experiment_of, results, tmp_path):
    assert f'Commit {"c" * 12}, cpu: ' in render(experiment_of(), results, tmp_path).full
    results['stock', 1]['commit'] = 'b' * 40
    text = render(experiment_of(), results, tmp_path).full
    assert f'Commits {"c" * 12}, {"b" * 12}, cpu: ' in text


def test_refuses_what_may_not_be_compared(experiment_of, results, tmp_path):
    results['stock', 1]['digest'] = 'other'
    with pytest.raises(ComparisonError):
        render(experiment_of(), results, tmp_path)


def test_no_look_before_all_replicates_are_done(experiment_of, results, tmp_path):
    del results['wogroup', 2]
    message = 'small: 1 of 2 replicates of wgroup and wogroup are done; there is no look before'
    with pytest.raises(ComparisonError, match=message):
        render(experiment_of(), results, tmp_path)


def test_command_prints_tables_or_records_equality(experiment_of, results, write_results, tmp_path):
    experiment_of()
    folder = write_results(results)
    places = ['small', '--runs', tmp_path / 'runs.yaml', '--results', tmp_path / 'results']
    done = call('experiments.report', *places)
    assert '| mean | | | +4.00 (SD 2.83) |' in done.out, done.err
    other = tmp_path / 'other.json'
    other.write_text(json.dumps(results['wgroup', 2] | dict(digest='e' * 64)))
    assert call('experiments.report', *places, '--equal', other).status == 0
    assert set(equal_digests(folder)[0]) == {'d' * 64, 'e' * 64}
    other.write_text(json.dumps(results['wgroup', 2] | dict(replicate=7)))
    done = call('experiments.report', *places, '--equal', other)
    assert 'no result of wgroup-07' in done.error()


def by_run(results):
    return {Run('small', *key): result for key, result in results.items()}


def test_section_tells_how_far_the_runs_are_and_no_score(experiment_of, results, tmp_path):
    del results['wogroup', 2]
    report = section(experiment_of(caveat='Read this.'), by_run(results), tmp_path)
    text = report.full
    assert text.startswith('**Does it run?**\n\nRead this.\n\nTwo replicates.\n\n| variant | ')
    assert '| wgroup | 3 of 2 | 1.0 |\n| wogroup | 1 of 2 | 0.3 |\n| stock | 1 of 2 | ' in text
    told = (
        '1 of 2 replicates of wgroup and wogroup are done; no difference is shown before all are.'
    )
    assert text.endswith(told)
    start = f'**Does it run?**\n\nRead this.\n\n6 of 10 runs, {told}\n\n'
    assert report.short.startswith(start)
    for part in (text, report.short):
        assert '52' not in part and '+' not in part


def test_section_with_all_replicates_has_the_tables(experiment_of, results, tmp_path):
    page = tmp_path / 'docs' / 'page.md'
    report = section(experiment_of(), by_run(results), tmp_path / 'results', page=page)
    assert '| wogroup | 2 of 2 | 0.7 |' in report.full
    assert '| mean | | | +4.00 (SD 2.83) |' in report.full
    assert report.short.endswith('classes): [small](../results/small).')


def test_section_of_a_stopped_experiment(experiment_of, result_of, tmp_path):
    (tmp_path / 'small').mkdir()
    one = result_of('wogroup', 1, tail=3.0)
    (tmp_path / 'small' / 'wogroup-01.json').write_text(json.dumps(one))
    experiment = experiment_of(gate=dict(variant='wogroup', measure='tail AP50', least=5))
    text = section(experiment, {Run('small', 'wogroup', 1): one}, tmp_path).full
    assert text.endswith('small stops after wogroup-01: its tail AP50 is 3.0, below 5.')


def test_write_replaces_one_section(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text('a\n<!-- begin small -->\nold\n<!-- end small -->\nb\n')
    for content in ('new\n\n1', 'newer'):
        write_section(page, 'small', content)
        assert page.read_text() == (f'a\n<!-- begin small -->\n{content}\n<!-- end small -->\nb\n')
    page.write_text('a\n<!-- begin small -->\n<!-- end small -->\n')
    write_section(page, 'small', 'x')
    assert page.read_text() == 'a\n<!-- begin small -->\nx\n<!-- end small -->\n'
    with pytest.raises(ComparisonError, match='needs one section between <!-- begin large -->'):
        write_section(page, 'large', 'x')


def test_command_writes_the_section_or_refuses(experiment_of, results, write_results, tmp_path):
    experiment_of()
    page = tmp_path / 'page.md'
    page.write_text('<!-- begin small -->\n<!-- end small -->\n')
    places = ['--runs', tmp_path / 'runs.yaml', '--results', tmp_path / 'results']
    done = call('experiments.report', 'small', *places, '--write', page)
    assert done.status == 0 and done.out == '', done.err
    assert '0 of 10 runs, 0 of 2 replicates' in page.read_text()
    folder = tmp_path / 'results' / 'small'
    assert not folder.exists()
    write_results(results)
    before = page.read_text()
    error = call('experiments.report', 'small', *places, '--write', page).error()
    assert 'page.md: a section has intervals, which need' in error and page.read_text() == before


def test_no_figure_without_the_tables(experiment_of, results, write_results, tmp_path):
    experiment_of()
    write_results(results)
    places = ['small', '--runs', tmp_path / 'runs.yaml', '--results', tmp_path / 'results']
    figure = tmp_path / 'scores.svg'
    done = call('experiments.report', *places, '--scores', figure, '--data', tmp_path / 'nowhere')
    assert 'nowhere' in done.error() and not figure.exists()
    done = call('experiments.report', *places, '--scores', figure)
    assert done.status == 0 and '<svg' in figure.read_text(), done.err
