"""The summary, its verdicts and sentences: they claim no more than the numbers support."""

import dataclasses
import math

import pytest

from mmdet_multigrain.evaluation.functional.error_analysis import ErrorCost
from mmdet_multigrain.report.runs import claims
from mmdet_multigrain.report.runs.comparison import Gain, Spread, compare_paper
from mmdet_multigrain.report.runs.diagnostics import VariantDiagnostics
from mmdet_multigrain.report.runs.measures import MEAN_OF_GAINS, Metric
from mmdet_multigrain.report.runs.paper import load_paper
from mmdet_multigrain.report.runs.summary import (
    best_of,
    error_points,
    summary_points,
    summary_table,
    verdict,
)

from .made_runs import gain

NAN = math.nan


@pytest.fixture
def pair():
    """The paper's baseline and wgroup, with other APs and gains."""
    paper = compare_paper(load_paper('df2'))
    baseline, variant = paper.variant('baseline'), paper.variant('wgroup')

    def make(ours, theirs, one=None, resamples=0):
        gains = variant.gains if one is None else dict.fromkeys(variant.gains, one)
        return dataclasses.replace(
            paper,
            resamples=resamples,
            variants=tuple(
                dataclasses.replace(
                    one,
                    runs=('r',) * len(aps),
                    gains=gains if one is variant else {},
                    scores={**one.scores, 'AP': Spread(aps)},
                )
                for one, aps in ((baseline, theirs), (variant, ours))
            ),
        )

    return make


def cells(comparison, name='wgroup', paper=None):
    """The texts of one row of the summary, by column."""
    table = summary_table(comparison, paper)
    row = next(row for row in table.rows if row[0] == name)
    return {column.key: column.show(cell) for column, cell in zip(table.columns, row, strict=True)}


def test_single_runs_are_said_to_be_single(pair):
    comparison = pair((0.5,), (0.4,))
    row = cells(comparison)
    assert (row['runs'], row['AP'], row['verdict']) == ('1', '50.00', 'higher; noise unknown')
    text = dict(summary_points(comparison))['Seeds']
    assert 'a difference may come from the seed alone' in text and 'noise is not ruled out' in text
    assert cells(comparison, 'baseline')['verdict'] == 'baseline'


@pytest.mark.parametrize(
    ('ours', 'sentence'),
    [
        ((0.5, 0.6), 'Each run of wgroup is above each of baseline.'),
        ((0.1, 0.2), 'Each run of wgroup is below each of baseline.'),
        ((0.35, 0.6), 'The runs of wgroup and of baseline overlap in AP.'),
    ],
)
def test_seeds(pair, ours, sentence):
    text = dict(summary_points(pair(ours, (0.3, 0.4), resamples=10)))['Seeds']
    assert sentence in text and 'baseline 7.07 (n = 2)' in text
    assert 'Intervals are over photos only; from 3 seeds of each variant on' in text


def test_classes_are_counted_where_they_are_more_than_noise(pair):
    comparison = pair((0.5,) * 3, (0.4,) * 3, gain(0.01, 0.02), resamples=9)
    gains = comparison.variants[1].gains
    keys = [row.key for row in comparison.classes]
    gains |= {keys[0]: gain(-0.01, 0.005), keys[1]: gain(0.01, 0.02, images=2)}
    row = cells(comparison)
    assert (row['up'], row['down']) == ('12', '1')
    assert row['beyond_noise'] == '0 up, 1 down'
    assert row['gain'] == '+1.00° [−1.00, +3.00]' and row['rarest_3'] == '+1.00°'
    assert row['verdict'] == 'may be noise'
    assert 'all' not in row  # equal by both definitions
    points = dict(summary_points(comparison))
    assert 'over seeds and photos; a gain marked ° may be noise' in points['Seeds']
    assert points['Power'].startswith(
        'Detectable with 80% power, in AP: wgroup 2.86 (2.86 on these photos). Detectable'
    )


def test_over_photos_only_nothing_is_claimed(pair):
    comparison = pair((0.5,), (0.4,), gain(0.01, 0.005, seeds=False), resamples=9)
    row = cells(comparison)
    assert row['gain'] == '+1.00 [+0.50, +1.50]' and 'beyond_noise' not in row
    points = dict(summary_points(comparison))
    assert 'Intervals are over photos only' in points['Seeds']
    assert 'in AP: wgroup 0.71 over photos only.' in points['Power']


@pytest.mark.parametrize(
    ('one', 'text'),
    [
        (Gain(NAN), 'not known'),
        (Gain(0.01), 'higher; noise unknown'),
        (Gain(-0.01), 'lower; noise unknown'),
        (Gain(0.0), 'equal; noise unknown'),
        (gain(0.01, 0.005), 'higher'),
        (gain(-0.01, 0.005), 'lower'),
        (gain(0.01, 0.02), 'may be noise'),
        (gain(0.01, 0.02, images=2), 'too few boxes to tell'),
        (gain(0.0, 0.0), 'the same'),
        (gain(0.0, 0.0, seeds=False), 'the same'),
        (gain(0.01, 0.0), 'higher; noise unknown'),  # nothing varies
        (gain(-0.01, 0.02, seeds=False), 'may be photo noise'),
        (gain(-0.01, 0.005, seeds=False), 'lower beyond photo noise; seed noise unknown'),
    ],
)
def test_verdict(one, text):
    assert verdict(one) == text


def test_equal_variants_are_the_same_without_power_or_intervals(pair):
    comparison = pair((0.5,), (0.5,), gain(0.0, 0.0, seeds=False), resamples=9)
    row = cells(comparison)
    assert (row['gain'], row['rarest_3'], row['up'], row['down']) == ('same', 'same', '0', '0')
    assert 'Power' not in dict(summary_points(comparison))
    keys = [*comparison.variants[1].gains]
    assert claims.legend(comparison, keys) == claims.chance(comparison, keys) == ''


def test_intervals_of_some_variants_over_photos_only(pair):
    comparison = pair((0.5,) * 3, (0.4,) * 3, gain(0.01, 0.02), resamples=9)
    variant = comparison.variants[1]
    photos = dict.fromkeys(variant.gains, gain(0.01, 0.02, seeds=False))
    other = dataclasses.replace(variant, name='merged', gains=photos)
    comparison = dataclasses.replace(comparison, variants=(*comparison.variants, other))
    text = dict(summary_points(comparison))['Seeds']
    assert 'Intervals are over seeds and photos (of merged over photos only); a gain' in text


def test_power_in_the_class_sets_that_are_named(pair):
    comparison = pair((0.5,) * 3, (0.4,) * 3, gain(0.01, 0.02), resamples=9)
    tail = Metric('set:tail:AP50', 'tail (2 classes), AP50', MEAN_OF_GAINS, ('vest', 'sling'), True)
    comparison = dataclasses.replace(comparison, metrics=(*comparison.metrics, tail))
    comparison.variants[1].gains[tail.key] = gain(0.01, 0.04)
    points = dict(summary_points(comparison))
    assert points['Power'].endswith(
        'in tail (2 classes), AP50: wgroup 5.72 (5.72 on these photos).'
    )
    table = summary_table(comparison)
    assert 'gain, tail (2 classes), AP50' in [column.title for column in table.columns]
    assert cells(comparison)[tail.key] == '+1.00°'


def test_power_of_tiny_numbers_is_not_0(pair):
    tiny = gain(0.00002, 0.00003)
    points = dict(summary_points(pair((0.5,) * 3, (0.4,) * 3, tiny, resamples=9)))
    assert 'in AP: wgroup <0.01 (<0.01 on these photos).' in points['Power']
    assert '0.00' not in points['Power']


def test_no_power_without_intervals(pair):
    assert 'Power' not in dict(summary_points(pair((0.5,), (0.4,))))


def test_both_definitions_where_they_differ(pair):
    row = cells(pair((0.5,), (0.4,)))
    assert (row['gain'], row['all']) == ('+2.00', '+2.28')


def test_best_of(pair):
    comparison = pair((0.5,), (NAN,))
    assert best_of(comparison.variants).name == 'wgroup'
    comparison = pair((0.5,), (0.5,))
    assert best_of(comparison.variants).name == 'baseline'


def test_a_single_variant_has_scores_and_no_verdict(pair):
    comparison = pair((0.5,), (0.4,))
    alone = dataclasses.replace(comparison, variants=comparison.variants[:1])
    assert summary_points(alone) == []
    row = cells(alone, 'baseline')
    assert [*row] == ['variant', 'runs', 'AP', 'AP50', 'rarest_3', 'rarest_9']
    assert (row['AP'], row['AP50']) == ('40.00', '79.90')


def test_errors_that_cost_nothing_are_not_named():
    def cost(name, delta):
        return ErrorCost(name, 1, delta, None, None)

    def points(*costs):
        return error_points([VariantDiagnostics('a', 1, 0.5, costs, None, (), (), NAN, ())])

    assert points(cost('x', 0.00001), cost('y', 0.0)) == []
    assert points(cost('x', 0.00001), cost('y', 0.01)) == [
        ('Errors of a', 'AP50 50.00; most would be won by fixing "y" (+1.00).')
    ]
