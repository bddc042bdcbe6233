"""What errors cost and the siblings of each class, by hand-computed numbers."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.experiments.comparable import ComparisonError
from benchmarks.experiments.data import prepare
from benchmarks.experiments.figure import BAR
from benchmarks.experiments.intervals import load_truth
from benchmarks.experiments.packing import pack
from benchmarks.experiments.plan import Run
from benchmarks.experiments.report import draw
from benchmarks.experiments.why import costs, error_table, sibling_table
from mmdet_multigrain.evaluation import Detections
from tests.benchmarks.conftest import call

from .conftest import CLASSES

SHIRT, VEST, SKIRT, SHORTS, HAT = range(5)
BOXES = [(image, box, box, 0.5) for image in range(4) for box in range(5)]


def packed(found):
    """Detections of boxes by (image, class of the box, label, score)."""
    columns = np.array(found, float)
    detections = Detections(
        images=columns[:, 0].astype(int),
        labels=columns[:, 2].astype(int),
        boxes=np.array([[10 * box, 10 * box, 10, 10] for box in columns[:, 1]]),
        scores=columns[:, 3],
    )
    return pack(detections, 4, [99] * 5, box_step=1, score_step=0.1)


# All shirts are taken for vests, or all skirts for hats.
WITHIN = [(image, box, VEST if box == SHIRT else label, 0.7) for image, box, label, _ in BOXES]
ACROSS = [(image, box, HAT if box == SKIRT else label, 0.7) for image, box, label, _ in BOXES]


@pytest.fixture
def experiment(experiment_of):
    return experiment_of(replicates=3)


@pytest.fixture
def results(experiment, source, result_of, tmp_path):
    """wogroup takes shirts for vests in two replicates of three; of wgroup nothing is wrong."""
    found = {}
    for number in (1, 2, 3):
        run = Run('small', 'wgroup', number)
        digests = prepare(experiment, run, source=source, folder=tmp_path / 'data').digests
        rows = {
            name: dict(AP50=50.0 + number, train_boxes=10 * place + number)
            for place, name in enumerate(CLASSES)
        }
        wrong = {**rows, 'vest': dict(rows['vest'], AP50=49.0)}
        tops = BOXES if number == 3 else WITHIN
        for name, own, boxes in (('wgroup', rows, BOXES), ('wogroup', wrong, tops)):
            detections = packed(boxes)
            found[name, number] = result_of(
                name, number, classes=own, data=digests, detections=detections
            )
    return found


@pytest.fixture
def truth(experiment, results, source):
    return load_truth(experiment, results, source)


def test_costs_of_a_kind(results, truth, result_of):
    # Vests: 4 wrong before 4 right, so AP50 50. Shirts: none right, and fixed all 4.
    within, *others = costs(results['wogroup', 1], *truth, [VEST, SHORTS])
    assert within == pytest.approx(25) and others == [0] * 5
    across = costs(result_of('a', 1, detections=packed(ACROSS)), *truth, [SKIRT, HAT])
    assert across.tolist() == pytest.approx([0, 75, 0, 0, 0, 0])
    missed = costs(result_of('a', 1, detections=packed(BOXES[5:])), *truth, [*range(5)])
    assert missed.tolist() == pytest.approx([0, 0, 0, 0, 0, 100 * (1 - 76 / 101)])


def test_error_table(experiment, results, truth):
    lines = error_table(experiment, results, *truth).splitlines()
    assert lines[0].startswith('| lost in tail by | replicates | wrong class, right superclass |')
    assert lines[2] == '| wogroup | 3 | 16.67 | 0.00 | 0.00 | 0.00 | 0.00 | 0.00 |'
    assert lines[3] == '| wgroup | 3 | 0.00 | 0.00 | 0.00 | 0.00 | 0.00 | 0.00 |'
    # SD 14.43 of -25, -25 and 0; t of two degrees of freedom is 4.303.
    assert lines[4].startswith('| wgroup - wogroup | 3 | -16.67 (-52.52 to +19.19) | +0.00 (')


@pytest.mark.parametrize('measure', ['AP50', 'group AP'])
def test_errors_of_all_classes(experiment_of, results, truth, measure):
    primary = dict(variant='wgroup', reference='wogroup', measure=measure)
    lines = error_table(experiment_of(primary=primary), results, *truth).splitlines()
    assert lines[0].startswith('| lost in all classes by | replicates |')


def test_two_replicates_have_no_interval(experiment, results, truth):
    few = {key: result for key, result in results.items() if key[1] < 3}
    assert '| wgroup - wogroup | 2 | -25.00 | +0.00 |' in error_table(experiment, few, *truth)


def test_flat_detectors_have_no_errors_of_classes(experiment, results, truth, result_of):
    results['super', 1] = result_of('super', 1, labels='superclasses')
    assert 'super |' not in error_table(experiment, results, *truth)


def test_sibling_table(experiment, results, truth):
    lines = sibling_table(experiment, results, truth[1]).splitlines()
    assert lines[0].endswith('| wogroup AP50 | wgroup AP50 | difference |')
    assert lines[2] == '| hat | 42 | head | 0 | 52.00 | 52.00 | +0.00 (+0.00 to +0.00) |'
    # Differences of 2, 3 and 4.
    assert lines[5] == '| vest | 12 | top | 2 | 49.00 | 52.00 | +3.00 (+0.52 to +5.48) |'
    assert len(lines) == 9


def test_of_many_classes_the_rarest_have_rows(experiment, results, truth, monkeypatch):
    monkeypatch.setattr('benchmarks.experiments.why.ALL_CLASSES_UP_TO', 4)
    lines = sibling_table(experiment, results, truth[1]).splitlines()
    assert [line.split(' | ')[0] for line in lines[2:-2]] == ['| shirt']


def test_folds_keep_no_training_boxes(experiment, results, truth):
    for result in results.values():
        result['classes'] = {name: dict(AP50=1.0) for name in CLASSES}
    assert sibling_table(experiment, results, truth[1]) == ''


@pytest.fixture
def done(results):
    return {Run('small', *key): result for key, result in results.items()}


def test_figure_of_gains(experiment, done, source, tmp_path):
    path = tmp_path / 'gains.svg'
    text = draw('gains', path, experiment, done, source, {}).decode()
    assert text.count('<g id="LineCollection') == len(CLASSES)  # an interval each
    with pytest.raises(ComparisonError, match='gains need the data set'):
        draw('gains', path, experiment, done, None, {})


def test_command_draws_with_labels(results, write_results, tmp_path):
    write_results(results)
    places = ['small', '--runs', tmp_path / 'runs.yaml', '--results', tmp_path / 'results']
    drawn = []
    for label in ('wgroup=with groups', 'wgroup=with=groups', 'wogroup=with groups'):
        path = tmp_path / f'{len(drawn)}.svg'
        done = call('experiments.report', *places, '--scores', path, '--label', label)
        assert done.status == 0, done.err
        drawn.append(path.read_text())
    assert len(set(drawn)) == 3
    for label, message in (('wgroup', 'is not VARIANT=TEXT'), ('no=1', "no variant 'no'")):
        done = call('experiments.report', *places, '--scores', path, '--label', label)
        assert done.status and message in done.err


def test_figure_of_scores(experiment, done, tmp_path):
    path = tmp_path / 'scores.svg'
    text = draw('scores', path, experiment, done, None, {}).decode()
    bars = text.count(f'fill: {BAR}')
    assert bars == 2  # wgroup and wogroup; the others have no results
    with pytest.raises(ComparisonError, match='ends in .png or .svg'):
        draw('scores', path.with_suffix('.pdf'), experiment, done, None, {})
    del done[Run('small', 'wogroup', 3)]
    with pytest.raises(ComparisonError, match='there is no look before all are'):
        draw('scores', path, experiment, done, None, {})
