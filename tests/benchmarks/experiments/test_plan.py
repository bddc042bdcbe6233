"""The file of runs, the order of runs, what is left and the ledger."""

from __future__ import annotations

import json

import pytest
import yaml
from mmengine.config import Config

from benchmarks.experiments.plan import (
    RUNS,
    Run,
    due,
    ledger,
    load_experiment,
    read_results,
    runs_before,
    stopped_by_gate,
)
from mmdet_multigrain.engine.runner.compositions import merge_compositions
from mmdet_multigrain.utils.errors import ConfigError

PAIR = ('wgroup', 'wogroup')
SWEEP = dict(variants=['wgroup'], gammas=[1], count_gammas=[1], measure='tail AP')
COARSE = dict(name='some', config='a.py', coarse=0.5)


def test_primary_pair_comes_first_by_replicate_then_the_others(experiment_of):
    names = [run.name for run in experiment_of().runs()]
    assert names[:4] == ['wgroup-01', 'wogroup-01', 'wgroup-02', 'wogroup-02']
    assert names[4:8] == ['stock-01', 'stock-02', 'random-01', 'random-02']


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(variants=[dict(name='wgroup', config='a.py', groups='drawn')]), 'groups one of'),
        (dict(variants=[dict(name='wgroup', config='a.py', label='x')]), 'label'),
        (dict(variants=[dict(name='wgroup', config='a.py')]), "no variant 'wogroup'"),
        (dict(replicas=3), 'replicas'),
        (dict(pilot=6), 'small has 2 replicates, fewer than its pilot of 6'),
        (dict(gate=dict(variant='none')), "no variant 'none'"),
        (dict(compare=[['wgroup', 'none']]), "no variant 'none'"),
        (dict(compare=[['wgroup', 'super']]), 'super detects no classes, so it cannot be compared'),
        (dict(measures=['rare AP']), "measure 'rare AP': no such set of classes"),
        (dict(measures=['group AP'], data=dict(images='a', folds=2)), 'is not there with folds'),
        (dict(variants=[dict(name='a', config='a.py', coarse=1.0)]), 'coarse is a share'),
        (dict(variants=[dict(name='a', config='a.py', drop_coarse=True)]), 'coarse is a share'),
        (dict(variants=[COARSE | dict(groups='random')]), 'coarse boxes have labels: classes'),
        (dict(variants=[dict(name=name, config='a.py', replicates=1) for name in PAIR]), 'has the'),
    ],
)
def test_errors_of_the_file_are_named(experiment_of, changes, message):
    with pytest.raises(ConfigError, match=message):
        experiment_of(**changes)


def test_replicates_from_another_number_on(experiment_of):
    experiment = experiment_of(first=201)
    assert {run.replicate for run in experiment.runs()} == {201, 202}
    assert [run.name for run in experiment.runs()][:2] == ['wgroup-201', 'wogroup-201']


def test_folds_of_a_replicate_come_one_after_the_other(experiment_of):
    runs = experiment_of(data=dict(images='photos', folds=2)).runs()
    assert [run.name for run in runs[:5]] == [
        'wgroup-01-fold1',
        'wogroup-01-fold1',
        'wgroup-01-fold2',
        'wogroup-01-fold2',
        'wgroup-02-fold1',
    ]
    assert [run.name for run in runs[8:10]] == ['stock-01-fold1', 'stock-01-fold2']


def test_comparisons_with_the_reference_and_with_other_groups(experiment_of):
    assert experiment_of().comparisons() == [
        ('wgroup', 'wogroup'),
        ('wgroup', 'random'),
        ('stock', 'wogroup'),
        ('random', 'wogroup'),
    ]


def test_a_variant_with_its_own_replicates_and_named_comparisons(experiment_of):
    variants = [dict(name=name, config='a.py') for name in PAIR]
    once = COARSE | dict(replicates=1)
    experiment = experiment_of(variants=[*variants, once], compare=[['some', 'wgroup']])
    assert [run.name for run in experiment.runs()[4:]] == ['some-01']
    assert experiment.comparisons() == [('wgroup', 'wogroup'), ('some', 'wgroup')]
    assert '1 of 1' not in ledger(experiment, {}, jobs=1)
    assert '0 of 1 ' in ledger(experiment, {}, jobs=1)


def test_no_comparison_but_the_primary_one(experiment_of):
    assert experiment_of(compare=[]).comparisons() == [PAIR]


def test_coarse_boxes_are_part_of_the_recipe(experiment_of):
    variants = [dict(name=name, config='a.py') for name in PAIR]
    experiment = experiment_of(variants=[*variants, COARSE])
    options = {'max_iters': 2}
    assert experiment.recipe('wgroup') == dict(config='a.py', options=options)
    wanted = dict(config='a.py', options=options, coarse=0.5, drop_coarse=False)
    assert experiment.recipe('some') == wanted


def test_options_for_faster_training_are_part_of_the_recipe(experiment_of):
    assert experiment_of(speed=('channels-last',)).recipe('wgroup')['speed'] == ['channels-last']


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(speed=['fast']), 'speed: no such option: fast'),
        (
            dict(sweep=dict(variants=['wgroup'], gammas=[1])),
            'sweep needs count_gammas, gammas, measure, var',
        ),
        (dict(sweep=SWEEP | dict(variants=['x'])), "no variant 'x'"),
        (dict(sweep=SWEEP | dict(measure='rare AP')), "sweep: measure 'rare AP': no such set"),
    ],
)
def test_refuses_what_would_fail_after_training(experiment_of, changes, message):
    with pytest.raises(ConfigError, match=message):
        experiment_of(**changes)


def test_a_gate_lets_one_run_through_until_it_reaches_its_score(experiment_of, tmp_path):
    gate = dict(variant='wogroup', measure='tail AP50', least=5)
    experiment = experiment_of(gate=gate)
    first = Run('small', 'wogroup', 1)
    assert due(experiment, tmp_path) == [first] and not stopped_by_gate(experiment, tmp_path)
    assert due(experiment_of(), tmp_path) == experiment.runs()
    path = tmp_path / 'small' / 'wogroup-01.json'
    path.parent.mkdir()
    path.write_text(json.dumps(dict(scores={'tail AP50': 4.96})))
    assert due(experiment, tmp_path) == [first]
    assert stopped_by_gate(experiment, tmp_path) == (
        'small stops after wogroup-01: its tail AP50 is 5.0, below 5'
    )
    path.write_text(json.dumps(dict(scores={'tail AP50': 5.0})))
    assert due(experiment, tmp_path) == experiment.runs()
    assert stopped_by_gate(experiment, tmp_path) is None


def test_runs_of_another_experiment_come_before(experiment_of, tmp_path):
    experiment = experiment_of(after=dict(small=['wgroup', 'random']))
    left = runs_before(experiment, tmp_path / 'runs.yaml', tmp_path)
    assert left == ['small.wgroup-01', 'small.wgroup-02', 'small.random-01', 'small.random-02']
    (tmp_path / 'small').mkdir()
    for name in ('wgroup-01', 'wgroup-02', 'random-01'):
        (tmp_path / 'small' / f'{name}.json').write_text('{}')
    assert runs_before(experiment, tmp_path / 'runs.yaml', tmp_path) == ['small.random-02']


def test_unknown_experiment(experiment_of, tmp_path):
    experiment_of()
    with pytest.raises(ConfigError, match="no experiment 'large'; it has small"):
        load_experiment('large', tmp_path / 'runs.yaml')


def test_ledger_counts_and_measures(experiment_of, result_of):
    experiment = experiment_of()
    lines = ledger(experiment_of(caveat='Read\nthis.'), {}, jobs=2).splitlines()
    assert lines[1] == 'Read this.'
    lines = ledger(experiment, {}, jobs=2).splitlines()
    assert lines[-1] == '10 runs; process-hours: 0.0 spent, 5.0 left (2.5 h with 2 at a time)'
    done = {Run('small', 'wgroup', 1): result_of('wgroup', 1, minutes=60.0)}
    lines = ledger(experiment, done, jobs=1, begun=0.5).splitlines()
    assert lines[2].split() == 'wgroup 1 of 2 60.0 min 1.0 h 1.0 h'.split()
    assert lines[-1] == '10 runs; process-hours: 1.5 spent, 8.5 left (8.5 h with 1 at a time)'


def test_results_of_planned_runs_in_their_order(experiment_of, result_of, tmp_path):
    folder = tmp_path / 'small'
    folder.mkdir()
    for name in ('stock-01', 'wgroup-02', 'wgroup-03', 'dropped-01', '.wgroup-01.json.7.tmp'):
        (folder / f'{name}.json').write_text(json.dumps(dict(name=name)))
    found = read_results(experiment_of(), tmp_path)
    assert list(found) == [Run('small', 'wgroup', 2), Run('small', 'stock', 1)]
    assert found[Run('small', 'wgroup', 2)] == dict(name='wgroup-02')


@pytest.mark.parametrize('name', yaml.safe_load(RUNS.read_text()))
def test_every_experiment_can_be_read_and_its_configs_exist(name, repository):
    experiment = load_experiment(name)
    assert experiment.question and experiment.rule and experiment.minutes <= 45
    for measure in (experiment.primary['measure'], *experiment.measures):
        assert measure.split()[-1] in ('AP', 'AP50')
    missing = [v.config for v in experiment.variants if not (repository / v.config).is_file()]
    assert missing == []


@pytest.mark.parametrize('name', ['rbc12_verdict', 'tin60lt_verdict', 'tin60lt_again'])
def test_the_recipe_of_the_verdicts_is_the_preset(name, repository):
    experiment = load_experiment(name)
    recipe = experiment.recipe('recipe')
    preset = repository / 'configs' / 'multigrain' / 'wgroup_longtail_lite0_fpn_custom.py'
    cfg, tried = (Config.fromfile(path) for path in (preset, repository / recipe['config']))
    for config in (cfg, tried):
        merge_compositions(config)
    parts = 'model.roi_head.bbox_head.fusion.', 'model.test_cfg.'
    options = {key: value for key, value in recipe['options'].items() if key.startswith(parts)}
    tried.merge_from_dict(options)
    assert cfg.to_dict() == tried.to_dict()


@pytest.mark.parametrize('name', ['rbc12_choice', 'rbc12_verdict', 'tin60lt_verdict'])
def test_what_corrects_scores_is_compared_below_any_threshold(name):
    """Else a correction that lifts all scores of a rare class, in the same order, would seem to win."""
    options = load_experiment(name).options
    assert options['model.test_cfg.rcnn.score_thr'] == 0.001
    assert options['model.test_cfg.rcnn.max_per_img'] == 300
