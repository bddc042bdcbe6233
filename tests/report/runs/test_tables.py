"""Tables of a report: the paper's layout and numbers, best in bold, unrounded CSV."""

import csv
import dataclasses
import io
import math

import pytest

from mmdet_multigrain.report.runs import tables as run_tables
from mmdet_multigrain.report.runs.comparison import Spread, compare_paper
from mmdet_multigrain.report.runs.measures import DIFFERENCE, MEAN_OF_GAINS
from mmdet_multigrain.report.runs.paper import load_paper
from mmdet_multigrain.report.runs.report import match_paper
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.table import Cell

from .made_runs import gain


@pytest.fixture(scope='module')
def df2():
    return compare_paper(load_paper('df2'))


def shown(table):
    """Texts of the rows, those in bold with stars."""
    return [
        [
            f'*{column.show(cell)}*' if isinstance(cell, Cell) and cell.bold else column.show(cell)
            for column, cell in zip(table.columns, row, strict=True)
        ]
        for row in table.rows
    ]


def read(table):
    return list(csv.DictReader(io.StringIO(table.csv())))


def test_overall_is_the_papers_table_1(df2):
    table = run_tables.overall_table(df2)
    assert [column.title for column in table.columns[2:]] == [
        'AP',
        'AP50',
        'AP75',
        'APs',
        'APm',
        'APl',
    ]
    assert shown(table)[0] == [
        'baseline',
        '1',
        '67.02',
        '79.90',
        '75.61',
        '*40.05*',
        '47.09',
        '67.23',
    ]
    assert shown(table)[3] == [
        'wgroup',
        '1',
        '*69.02*',
        '*81.60*',
        '*78.12*',
        '31.75',
        '*51.16*',
        '*69.23*',
    ]


def test_classes_are_the_papers_table_3(df2):
    table = run_tables.class_table(df2)
    assert [column.key for column in table.columns] == [
        'class',
        'superclass',
        'train_boxes',
        'baseline',
        'wogroup',
        'merged',
        'wgroup',
    ]
    rows = shown(table)
    assert rows[0] == ['short sleeve outwear', 'top', '543', '42.45', '44.29', '46.11', '*46.51*']
    assert rows[-2] == ['short sleeve top', 'top', '71,645', '81.12', '81.82', '82.18', '*82.65*']
    assert rows[-1] == ['mean over the classes', '', '-', '66.79', '67.54', '68.80', '*69.07*']
    assert table.rules == (13,)


def test_best_is_bold_as_it_is_shown():
    """Equal to two decimals are both best; where all are equal, none is."""
    comparison = compare_paper(load_paper('df2'))

    def with_ap(*values):
        return dataclasses.replace(
            comparison,
            variants=tuple(
                dataclasses.replace(variant, scores={**variant.scores, 'AP': Spread((value,))})
                for variant, value in zip(comparison.variants, values, strict=True)
            ),
        )

    def ap(*values):
        return [row[2] for row in shown(run_tables.overall_table(with_ap(*values)))]

    assert ap(0.1, 0.50001, 0.50002, 0.2) == ['10.00', '*50.00*', '*50.00*', '20.00']
    assert ap(0.3, 0.3, 0.3, 0.3) == ['30.00'] * 4
    assert ap(math.nan, 0.3, 0.2, math.nan) == ['-', '*30.00*', '20.00', '-']


def test_several_runs_show_their_spread(df2):
    first, *others = df2.variants
    first = dataclasses.replace(
        first, runs=('a', 'b', 'c'), scores={**first.scores, 'AP': Spread((0.25, 0.375, 0.5))}
    )
    comparison = dataclasses.replace(df2, variants=(first, *others))
    table = run_tables.overall_table(comparison)
    assert shown(table)[0][1:3] == ['3', '37.50 ± 12.50']
    assert read(table)[0]['AP'] == '37.5'
    assert shown(run_tables.seed_table(comparison))[:2] == [
        ['baseline', '3', '37.50', '12.50', '25.00', '37.50', '50.00'],
        ['wogroup', '1', '67.54', '-', '67.54', '-', '-'],
    ]


def test_gains_by_both_definitions(df2):
    differences = {row[0]: row[1:] for row in shown(run_tables.gain_table(df2, DIFFERENCE))}
    assert differences['AP'] == ['+0.52', '+1.78', '+2.00']
    assert 'AR100' not in differences
    means = {row[0]: row[-1] for row in shown(run_tables.gain_table(df2, MEAN_OF_GAINS))}
    assert means['All 13 classes'] == '+2.28'
    assert means['Rarest 3 of 13 (30%, rounded down)'] == '+3.65'
    assert means["Rarest 9 of 13 (the paper's choice)"] == '+2.55'


def test_gains_with_intervals(df2):
    first, second, *_ = df2.variants
    gains = {
        **second.gains,
        'AP': gain(0.02, 0.03),
        'AP50': gain(-0.03, 0.02),
        'AP75': gain(math.nan, math.nan, images=0),
        'APm': gain(0.02, 0.01, seeds=False),
        'APl': gain(0.02, 0.01, images=2),
    }
    comparison = dataclasses.replace(
        df2, variants=(first, dataclasses.replace(second, gains=gains))
    )
    rows = dict(shown(run_tables.gain_table(comparison, DIFFERENCE)))
    assert rows['AP'] == '+2.00° [−1.00, +5.00]'
    assert rows['AP50'] == '*−3.00 [−5.00, −1.00]*'
    assert rows['AP75'] == '-'
    assert rows['APm'] == '+2.00 [+1.00, +3.00]'  # over photos only: neither marked nor bold
    assert rows['APl'] == '+2.00 (too few boxes)'
    data = {row['key']: row for row in read(run_tables.gains_data(comparison))}
    names = {'variant': 'wogroup', 'baseline': 'baseline', 'what': 'AP', 'definition': DIFFERENCE}
    assert data['AP'] | names == data['AP']
    assert data['AP']['gain'] == '2.0' and data['AP']['may_be_noise'] == 'true'
    assert [float(data['AP'][key]) for key in ('low', 'high')] == pytest.approx([-1, 5], abs=1e-4)
    assert float(data['AP']['p']) == float(data['AP']['p_holm']) == pytest.approx(0.1913, abs=1e-3)
    power = 3 / 1.96 * (1.96 + 0.8416)
    assert float(data['AP']['detectable']) == pytest.approx(power, abs=1e-3)
    assert data['AP']['over'] == 'pairs of seeds, and photos' and data['AP']['images'] == '9'
    assert data['AP50']['may_be_noise'] == 'false'
    assert data['APm']['over'] == 'photos only' and data['APm']['may_be_noise'] == ''
    assert data['APm']['detectable_on_these_photos'] == data['APm']['p_holm'] == ''
    assert data['APl']['low'] == data['APl']['may_be_noise'] == '' and data['APl']['images'] == '2'
    assert data['APs']['low'] == data['APs']['over'] == ''
    assert float(data['all']['gain']) == pytest.approx(9.74 / 13)  # not rounded
    assert data['class:sling']['what'] == 'sling'


def test_the_papers_numbers_beside(df2):
    """Classes are matched by alias; those that the paper lacks stay empty."""
    paper = load_paper('df2')
    taxonomy = Taxonomy('t', ['short_sleeved_shirt', 'tank'])
    side = match_paper(paper, taxonomy, source='f')
    assert side.keys == {'class:short_sleeved_shirt': 'class:short sleeve top'}
    rows = tuple(
        dataclasses.replace(df2.classes[0], key=f'class:{name}', name=name)
        for name in taxonomy.classes
    )
    scores = {**df2.variants[0].scores, **{row.key: Spread((0.5,)) for row in rows}}
    ours = dataclasses.replace(
        df2,
        classes=rows,
        variants=(dataclasses.replace(df2.variants[0], name='mine', scores=scores),),
    )
    table = run_tables.class_table(ours, side)
    assert table.groups == (('', 2), ('these runs', 1), ('the paper', 4))
    assert shown(table)[0] == [
        'short_sleeved_shirt',
        '543',
        '50.00',
        '81.12',
        '81.82',
        '82.18',
        '*82.65*',
    ]
    assert shown(table)[1][3:] == ['-'] * 4
    overall = run_tables.overall_table(ours, side)
    assert [row[0] for row in overall.rows][:2] == ['mine', "the paper's baseline"]
    assert overall.rules == (1,)


def test_every_score_is_in_the_data(df2):
    rows = read(run_tables.scores_data(df2))
    assert len(rows) == 4 * (len(df2.metrics) + len(df2.classes))
    ap = next(row for row in rows if (row['variant'], row['key']) == ('wgroup', 'AP'))
    assert float(ap['mean']) == pytest.approx(69.02) and ap['std'] == '' and ap['n'] == '1'


def test_a_class_named_as_its_superclass(df2):
    """It has that superclass if another class is in it, too; alone, it has none."""
    names = (('top', 'top'), ('shirt', 'top'), ('bag', 'bag'))
    rows = tuple(
        dataclasses.replace(row, name=name, superclasses=(group,))
        for row, (name, group) in zip(df2.classes, names, strict=False)
    )
    table = run_tables.class_table(dataclasses.replace(df2, classes=rows))
    assert [row[:2] for row in table.rows[:3]] == [('top', 'top'), ('shirt', 'top'), ('bag', '')]


def test_training_and_validation_boxes_as_far_as_known(df2):
    def columns(table):
        return [column.title for column in table.columns if 'boxes' in column.title]

    makers = (run_tables.class_table, run_tables.class_gain_table)
    for counts, titles in (
        ({'train_boxes': 7, 'val_boxes': 3}, ['training boxes', 'validation boxes']),
        ({'train_boxes': None, 'val_boxes': 3}, ['validation boxes']),
        ({'train_boxes': 7, 'val_boxes': None}, ['training boxes']),
    ):
        rows = tuple(dataclasses.replace(row, **counts) for row in df2.classes)
        comparison = dataclasses.replace(df2, classes=rows)
        assert all(columns(make(comparison)) == titles for make in makers)
        numbers = [str(count) for count in counts.values() if count is not None]
        assert shown(run_tables.class_gain_table(comparison))[0][1 : 1 + len(numbers)] == numbers
