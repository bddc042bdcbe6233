"""The benchmark of the evaluation on few images: what it draws, prints and writes."""

import json

import numpy as np
import pytest

from benchmarks.speed.drawn_results import draw_detections, draw_truth
from mmdet_multigrain.taxonomy import Taxonomy
from tests.benchmarks.conftest import start


def run(*arguments):
    return start('speed.evaluation', *arguments)


def test_table_and_file(tmp_path):
    out = tmp_path / 'speed.json'
    done = run('--images', 40, '--resamples', 5, '--repeats', 2, '--out', out)
    assert done.status == 0, done.err
    report = json.loads(out.read_text())
    parts = ['pycocotools', 'metric', 'errors', 'bootstrap']
    for key in ('seconds', 'cpu_seconds'):
        assert list(report[key]) == parts
        assert all(len(values) == 2 and min(values) > 0 for values in report[key].values())
    assert (report['images'], report['detections'], report['resamples']) == (40, 4000, 5)
    assert 0 < report['AP'] < 1 and report['peak_mb'] > 0
    assert '40 images' in done.out and 'bar: 1/20' in done.out
    assert (
        sum(
            line.startswith(('pycocotools', 'metric, ', 'error', 'bootstrap of'))
            for line in done.out.splitlines()
        )
        == 4
    )


def test_without_pycocotools():
    done = run('--images', 20, '--resamples', 2, '--no-pycocotools')
    assert done.status == 0, done.err
    assert 'of the time of pycocotools' not in done.out and 'bootstrap of 2 runs' in done.out


@pytest.mark.parametrize('option', ['--images', '--repeats', '--resamples'])
def test_bad_numbers(option):
    done = run(option, 0)
    assert done.status == 2 and f"{option}: '0' is not a whole number from 1 on" in done.err


def test_what_is_drawn():
    taxonomy = Taxonomy.load('deepfashion2')
    frequency = np.arange(1, 14) / 91

    def draw(seed):
        rng = np.random.default_rng(seed)
        truth = draw_truth(rng, 2000, frequency)
        return truth, draw_detections(rng, truth, taxonomy, frequency, quality=0.9)

    truth, detections = draw(0)
    assert len(truth.labels) / 2000 == pytest.approx(1.65, abs=0.06)
    assert np.bincount(truth.labels) / len(truth.labels) == pytest.approx(frequency, abs=0.02)
    assert (np.bincount(detections.images) == 100).all()
    assert len(np.unique(detections.scores)) == len(detections.scores)
    assert np.unique(detections.labels).tolist() == list(range(13))
    again, other = draw(0)[1], draw(1)[1]
    np.testing.assert_array_equal(detections.boxes, again.boxes)
    assert (detections.scores != other.scores).all()
