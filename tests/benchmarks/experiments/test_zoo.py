"""Rows of variants and of pairs, by hand-computed numbers."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from benchmarks.experiments.plan import Variant
from benchmarks.experiments.zoo import REPOSITORY, changes_text, model_table, pair_table

PAGE = REPOSITORY / 'docs' / 'page.md'


def test_a_row_for_each_variant_with_results(experiment_of, results):
    results['wgroup', 3]['minutes'] = 50.0
    assert model_table(experiment_of(), results, PAGE).splitlines() == [
        '| variant | with | replicates | tail AP50 | AP50 | AP | superclass AP50 | minutes |',
        '|---|---|---|---|---|---|---|---|',
        '| [stock](../stock.py) | - | 1 | - | 60.00 | 30.00 | 70.00 | 20 |',
        '| [wogroup](../wogroup.py) | - | 1, 2 | 45.50 | 60.00 | 30.00 | 70.00 | 20 |',
        '| [wgroup](../wgroup.py) | `lr=0.5` | 1-3 | 63.00 | 60.00 | 30.00 | 70.00 | 20 |',
        '| [super](../stock.py) | labels: superclasses | 1 | - | - | - | 77.00 | 20 |',
    ]


def test_scores_of_flat_detectors_are_not_those_of_classes(experiment_of, results):
    variants = [dict(name=name, config='a.py') for name in ('wgroup', 'wogroup')]
    variants += [dict(name='super', config='a.py', labels='superclasses')]
    variants += [dict(name='object', config='a.py', labels='object')]
    one = results['super', 1]
    results['object', 1] = one | dict(variant='object', labels='object')
    experiment = experiment_of(variants=variants, measures=['group AP', 'group AP50'])
    text = model_table(experiment, results, PAGE)
    head = 'tail AP50 | group AP | group AP50 | AP50 | AP | superclass AP50 | minutes |'
    assert text.splitlines()[0].endswith(head)
    assert 'labels: superclasses | 1 | - | 44.00 | 77.00 | - | - | 77.00 | 20 |' in text
    assert 'labels: object | 1 | - | - | - | - | - | - | 20 |' in text


@pytest.mark.parametrize(
    ('changes', 'text'),
    [
        (dict(), '-'),
        (dict(coarse=0.5), '50% of boxes coarse'),
        (dict(coarse=0.5, drop_coarse=True), '50% of boxes left out'),
        (dict(groups='one'), 'groups: one'),
        (dict(held_out='hat'), 'without hat'),
        (dict(held_out='hat', shots=5, base='a'), 'hat added from 5 boxes'),
        (
            dict(held_out='hat', held_out_as='superclass'),
            'hat known by its superclass alone',
        ),
        (
            dict(held_out='hat', held_out_as='superclass', shots=5, base='a'),
            'hat, known by its superclass, added from 5 boxes',
        ),
        (dict(options={'a.b.c': 1, 'd.b.c': 1, 'max_iters': 3}), '`b.c=1`'),
    ],
)
def test_what_a_variant_changes(experiment_of, changes, text):
    assert changes_text(experiment_of(), Variant('one', 'a.py', **changes)) == text


def test_pairs_with_several_replicates():
    def difference(value, over_seeds=True):
        return SimpleNamespace(value=value, low=value - 1, high=value + 1, over_seeds=over_seeds)

    found = {
        ('a', 'b'): difference(2.0),
        ('a', 'c'): difference(-3.0),
        ('d', 'c'): difference(9.0, over_seeds=False),
        ('a', 'b', 'group AP'): difference(4.0),
    }
    counts = {key: 3 for key in found}
    assert pair_table(found, 'AP', counts).splitlines() == [
        '| difference | replicates | AP | group AP |',
        '|---|---|---|---|',
        '| a - b | 3 | +2.00 (+1.00 to +3.00) | +4.00 (+3.00 to +5.00) |',
        '| a - c | 3 | -3.00 (-4.00 to -2.00) | - |',
    ]
    assert pair_table({('d', 'c'): found['d', 'c']}, 'AP', counts) == ''
