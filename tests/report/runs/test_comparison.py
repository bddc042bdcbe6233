"""Gains by hand, and the paper's own."""

import math

import pytest

from mmdet_multigrain.evaluation.result_file import Result
from mmdet_multigrain.report.runs.comparison import Spread, compare, compare_paper
from mmdet_multigrain.report.runs.measures import (
    DIFFERENCE,
    MEAN_OF_GAINS,
)
from mmdet_multigrain.report.runs.paper import load_paper
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ReportError
from tests.report.runs.made_summaries import NAN, class_gain, gains, run


@pytest.mark.parametrize(
    ('dataset', 'mean', 'rarest', 'last', 'overall'),
    [
        ('df2', 2.278, {'rarest_3': 3.647, 'rarest_9': 2.552}, 9, 2.00),
        ('oiv4c', 2.492, {'rarest_9': 4.59}, 9, 1.62),
    ],
)
def test_the_papers_gains(dataset, mean, rarest, last, overall):
    comparison = compare_paper(load_paper(dataset))
    gain = comparison.variant('wgroup').gains
    assert 100 * gain['all'].value == pytest.approx(mean, abs=5e-4)
    definitions = {metric.key: metric.definition for metric in comparison.metrics}
    for key, value in rarest.items():
        assert 100 * gain[key].value == pytest.approx(value, abs=5e-4)
        assert definitions[key] == MEAN_OF_GAINS
    assert [metric.key for metric in comparison.metrics if metric.key.startswith('rarest')] == [
        *rarest
    ]
    assert 100 * gain['AP'].value == pytest.approx(overall, abs=1e-9)
    assert definitions['AP'] == DIFFERENCE
    assert all(one.interval is None and one.may_be_noise is None for one in gain.values())
    assert comparison.baseline == 'baseline' and not comparison.variant('baseline').gains
    boxes = [row.train_boxes for row in comparison.classes]
    assert boxes == sorted(boxes) and comparison.resamples == 0


def test_the_papers_scores_and_other_baselines():
    comparison = compare_paper(load_paper('df2'), baseline='merged')
    assert [variant.name for variant in comparison.variants] == [
        'baseline',
        'wogroup',
        'merged',
        'wgroup',
    ]
    scores = comparison.variant('merged').scores
    # Column means of table 3 differ from table 1 (68.80 is there, too, by chance).
    assert 100 * comparison.variant('baseline').scores['all'].mean == pytest.approx(
        66.79, abs=0.005
    )
    assert 100 * comparison.variant('baseline').scores['AP'].mean == pytest.approx(67.02)
    assert scores['AP'].values == pytest.approx([0.688]) and math.isnan(scores['AP'].std)
    assert gains(comparison, 'wgroup', 'AP') == pytest.approx([0.0022])
    assert class_gain(comparison, 'baseline', 'sling').value == pytest.approx(-0.0208)
    assert comparison.classes[1].superclasses == ('top',)
    with pytest.raises(ReportError, match="no variant is called 'x'; .* 'baseline', 'wogroup'"):
        compare_paper(load_paper('df2'), baseline='x')


def test_seeds_by_hand():
    runs = [
        run('base', 0, [0.1, 0.2, 0.3, 0.4]),
        run('new', 0, [0.2, 0.4, 0.3, 0.4]),
        run('base', 1, [0.3, 0.2, 0.3, 0.4]),
        run('new', 1, [0.2, 0.6, 0.3, 0.2], superclass_ap=0.7),
    ]
    comparison = compare(runs)
    base, new = comparison.variants
    assert (base.name, base.runs) == ('base', ('base 0', 'base 1'))
    assert comparison.baseline == 'base'
    assert base.scores['class:a'].mean == pytest.approx(0.2)
    assert base.scores['class:a'].std == pytest.approx(math.sqrt(0.02))  # n - 1
    assert new.scores['AP'].values == pytest.approx([0.325, 0.325])
    assert new.scores['AP'].std == pytest.approx(0)
    assert new.scores['superclass_AP'].mean == pytest.approx(0.6)
    assert new.scores['level 0:bottom'].mean == pytest.approx(0.7)
    # Rarest first: b (10), c (20), a (30), d (40).
    assert [row.name for row in comparison.classes] == ['b', 'c', 'a', 'd']
    assert [row.train_boxes for row in comparison.classes] == [10, 20, 30, 40]
    assert [class_gain(comparison, 'new', name).value for name in 'bcad'] == pytest.approx(
        [0.3, 0, 0, -0.1]
    )
    assert gains(comparison, 'new', 'all', 'AP', 'superclass_AP') == pytest.approx(
        [0.05, 0.05, 0.1]
    )
    classes = {metric.key: metric.classes for metric in comparison.metrics}
    assert classes['rarest_1'] == ('b',)  # floor(0.3 * 4)
    assert gains(comparison, 'new', 'rarest_1', 'rare_third', 'middle_third', 'frequent_third') == (
        pytest.approx([0.3, 0.15, 0, -0.1])
    )
    assert math.isnan(new.gains['APs'].value)
    assert comparison.counted_on == 'training'
    assert [[row.name for row in level] for level in comparison.superclasses] == [['top', 'bottom']]
    assert new.gains['class:b'].interval is None and comparison.resamples == 0


def test_the_two_definitions_can_differ():
    comparison = compare(
        [run('base', 0, [0.1, 0.2, 0.3, 0.4], ap=0.3), run('new', 0, [0.2, 0.3, 0.4, 0.5], ap=0.34)]
    )
    assert gains(comparison, 'new', 'all', 'AP') == pytest.approx([0.1, 0.04])


def test_a_number_that_only_the_first_run_has_is_unknown_for_the_other():
    base, new = run('base', 0, [0.1] * 4), run('new', 0, [0.2] * 4)
    del new.result.summary.fine.coco['APs']
    comparison = compare([base, new])
    assert math.isnan(comparison.variant('new').scores['APs'].mean)
    assert gains(comparison, 'new', 'AP') == pytest.approx([0.1])


def test_class_without_boxes_is_in_no_mean():
    comparison = compare(
        [run('base', 0, [0.1, NAN, 0.3, 0.4]), run('new', 0, [0.2, NAN, 0.3, 0.4])]
    )
    assert math.isnan(class_gain(comparison, 'new', 'b').value)
    assert gains(comparison, 'new', 'all', 'rare_third') == pytest.approx([0.1 / 3, 0])
    assert math.isnan(gains(comparison, 'new', 'rarest_1')[0])


def test_order_by_boxes_of_whichever_run_knows_them():
    known, unknown = run('a', 0, [0.1] * 4), run('b', 0, [0.1] * 4, train=None)
    comparison = compare([unknown, known])
    assert [row.name for row in comparison.classes] == ['b', 'c', 'a', 'd']
    assert comparison.counted_on == 'training'
    comparison = compare([unknown])
    assert [row.name for row in comparison.classes] == ['a', 'b', 'c', 'd']  # 5 boxes each
    assert comparison.counted_on == 'validation'
    assert comparison.classes[0].train_boxes is None and comparison.classes[0].val_boxes == 5


def test_choice_of_the_baseline():
    def chosen(*names, **kwargs):
        return compare([run(name, 0, [0.1] * 4) for name in names], **kwargs).baseline

    assert chosen('wgroup', 'baseline_r18') == 'baseline_r18'
    assert chosen('b', 'a') == 'b'
    assert chosen('wgroup', 'baseline_60m', 'baseline_73m') == 'wgroup'
    assert chosen('b', 'a', baseline='a') == 'a'
    with pytest.raises(ReportError, match="no variant is called 'c'; the baseline can be one of"):
        chosen('b', 'a', baseline='c')
    with pytest.raises(ReportError, match='no run to compare'):
        compare([])


def test_superclasses_of_an_ungrouped_taxonomy_are_left_out():
    flat = Taxonomy('flat', ['a', 'b', 'c', 'd']).ungrouped()
    one = run('base', 0, [0.1] * 4)
    object.__setattr__(one, 'result', Result(one.result.summary, flat))
    comparison = compare([one])
    assert not comparison.superclasses
    assert 'superclass_AP' not in comparison.variants[0].scores


def test_spread():
    assert Spread((1.0, 2.0, 6.0)).mean == 3
    assert Spread((1.0, 2.0, 6.0)).std == pytest.approx(math.sqrt(7))
    assert math.isnan(Spread((1.0,)).std)
    assert math.isnan(Spread((1.0, math.nan)).std)
