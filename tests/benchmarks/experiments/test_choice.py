"""What is kept of a sweep, and which fusion its table puts first, by hand-computed numbers."""

from __future__ import annotations

import pytest

from benchmarks.experiments.choice import choice_table, condense


def fusion(name, ap, rare):
    first = {'AP': ap, 'AP50': 0.9, 'rare_AP': 0.7, 'set_tail_AP': rare, 'set_tail_AP50': 0.6}
    return dict(
        name=name, fusion=None, numbers={'100 / 100': first, '300 / 300': {}}, halves=[1, 2]
    )


CONTENT = dict(
    images=7,
    class_counts=dict(counts=[5, 2], source='training'),
    fusions=[fusion('off', 0.44, 0.29), fusion('NorCal 0.6', 0.45, 0.3)],
)


def test_scores_at_the_limits_of_the_test_are_kept():
    assert condense(CONTENT, 'tail AP') == dict(
        images=7,
        class_counts=[5, 2],
        fusions={
            'off': {'tail AP': 29.0, 'AP': 44.0},
            'NorCal 0.6': {'tail AP': 30.0, 'AP': 45.0},
        },
    )
    kept = condense(CONTENT, 'tail AP50')['fusions']
    assert kept['off'] == {'tail AP50': 60.0, 'AP': 44.0}


@pytest.fixture
def experiment(experiment_of):
    tried = dict(variants=['wgroup', 'stock'], gammas=[1], count_gammas=[1], measure='tail AP')
    return experiment_of(sweep=tried)


@pytest.fixture
def results(result_of):
    def make(number, **scores):
        fusions = {name: {'tail AP': rare, 'AP': ap} for name, (rare, ap) in scores.items()}
        return result_of('wgroup', number) | dict(sweep=dict(fusions=fusions))

    return {
        ('wgroup', 1): make(1, off=(10, 40), a=(30, 41), b=(20, 42), c=(9, 60), d=(8, 61)),
        ('wgroup', 2): make(2, off=(12, 40), a=(10, 41), b=(24, 42), c=(9, 60), d=(8, 61)),
        ('stock', 1): result_of('stock', 1),
    }


def test_the_highest_mean_of_the_rarest_comes_first(experiment, results):
    assert choice_table(experiment, results).splitlines()[0].endswith('| tail AP | AP |')
    assert choice_table(experiment, results).splitlines()[2:] == [
        '| wgroup | off | 2 | 11.00 | 40.00 |',
        '| wgroup | b | 2 | 22.00 | 42.00 |',
        '| wgroup | a | 2 | 20.00 | 41.00 |',
    ]
    assert choice_table(experiment, {('stock', 1): results['stock', 1]}) == ''


def test_means_over_other_draws_do_not_compare(experiment, results):
    results['stock', 1]['sweep'] = results['wgroup', 1]['sweep']
    assert '| stock |' not in choice_table(experiment, results)
    results['stock', 2] = results['stock', 1]
    assert '| stock | off | 2 | 10.00 | 40.00 |' in choice_table(experiment, results)


def test_rarest_classes_without_boxes(experiment, results):
    content = CONTENT | dict(fusions=[fusion('off', 0.44, None)])
    assert condense(content, 'tail AP')['fusions'] == {'off': {'tail AP': None, 'AP': 44.0}}
    first, second = (results['wgroup', number]['sweep']['fusions'] for number in (1, 2))
    for scores in second.values():
        scores['tail AP'] = None
    assert choice_table(experiment, results).splitlines()[2:] == [
        '| wgroup | off | 2 | 10.00 | 40.00 |',
        '| wgroup | a | 2 | 30.00 | 41.00 |',
        '| wgroup | b | 2 | 20.00 | 42.00 |',
    ]
    for scores in first.values():
        scores['tail AP'] = None
    assert choice_table(experiment, results).splitlines()[2:4] == [
        '| wgroup | off | 2 | - | 40.00 |',
        '| wgroup | d | 2 | - | 61.00 |',
    ]
