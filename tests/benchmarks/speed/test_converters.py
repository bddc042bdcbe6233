"""The benchmark of the converters: how it measures, what it measures, the shape of its input."""

import functools
import json
import os
from pathlib import Path

import pytest

from benchmarks.common.processes import Measured, measure
from benchmarks.speed.converter import figures
from benchmarks.speed.converter.deepfashion2 import write_input
from mmdet_multigrain.converters.deepfashion2 import convert
from mmdet_multigrain.utils.images import image_size
from tests.benchmarks.conftest import start

REPOSITORY = Path(__file__).resolve().parents[3]
GENUINE = REPOSITORY.parent / 'shared' / 'formats' / 'deepfashion2_train_000001.json'


def run(*arguments):
    return start('speed.converters', *arguments)


def test_deepfashion2(tmp_path):
    options = '--repeats 1 --workers 2 --files 30 50 --out'.split()
    result = run('deepfashion2', *options, tmp_path / 'speed.json')
    assert result.status == 0, result.err
    report = json.loads((tmp_path / 'speed.json').read_text())
    assert report['release'] == 'deepfashion2' and report['workers'] == 2
    assert [row['files'] for row in report['results']] == [30, 50]
    for row in report['results']:
        assert row['boxes'] >= row['files']
        for kind in ('parse', 'parse + heads', 'convert'):
            assert 0 < row[kind]['min_seconds'] <= row[kind]['seconds'] <= row[kind]['max_seconds']
            assert row[kind]['peak_mb'] > 5 and row[kind]['peak_child_mb'] > 5
        assert row['files_per_second'] == pytest.approx(row['files'] / row['convert']['seconds'])
        assert row['ratio_to_parse'] > 0 and row['up_to_date_seconds'] > 0
        assert f'{row["files"]} files, {row["boxes"]} boxes, 2 processes' in result.out


def test_temporary_input_is_removed(tmp_path, monkeypatch):
    monkeypatch.setenv('TMPDIR', str(tmp_path))
    result = run('deepfashion2', '--files', 10, '--repeats', 1, '--workers', 1)
    assert result.status == 0, result.err
    assert os.listdir(tmp_path) == []


def structure(value):
    """The keys and types of an annotation file, whatever its numbers are."""
    if isinstance(value, dict):
        return {key: structure(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [structure(value[0])] if value else []
    return type(value).__name__


def test_input_has_the_shape_of_the_release(tmp_path):
    write_input(tmp_path / 'input', 300)
    tmp_path = tmp_path / 'input'
    summary = convert(tmp_path, 'train', progress=False)
    assert summary.num_images == 300 and not summary.problems.counts
    assert summary.boxes.total() / 300 == pytest.approx(312_186 / 191_961, rel=0.1)
    annotations = [
        json.loads(path.read_bytes()) for path in (tmp_path / 'train' / 'annos').iterdir()
    ]
    items = [
        item
        for annotation in annotations
        for key, item in annotation.items()
        if key.startswith('item')
    ]
    landmarks = {item['category_name']: len(item['landmarks']) / 3 for item in items}
    assert landmarks['short sleeve top'] == 25 and landmarks['trousers'] == 14
    assert image_size(tmp_path / 'train' / 'image' / '000007.jpg') == (800, 800)
    if GENUINE.exists():
        genuine = json.loads(GENUINE.read_bytes())
        assert structure(items[0]) == structure(genuine['item1'])
        two = [
            json.dumps(annotation)
            for annotation in annotations
            if 'item2' in annotation and 'item3' not in annotation
        ]
        assert sum(map(len, two)) / len(two) == pytest.approx(GENUINE.stat().st_size, rel=0.15)


def test_same_seed_gives_the_same_input(tmp_path):
    for name in 'ab':
        write_input(tmp_path / name, 12)
    first, second = (
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob('*')
            if path.is_file()
        }
        for name in 'ab'
    )
    assert first == second and len(first) == 24


def test_measure_runs_in_a_fresh_process():
    measured = measure(functools.partial(len, bytes(30_000_000)))
    assert measured.value == 30_000_000
    assert 0 <= measured.seconds < 5 and measured.cpu_seconds < 5
    assert 30 < measured.peak_mb < 1000 and measured.peak_child_mb == 0
    assert measure(os.getpid).value != os.getpid()


def test_measure_of_what_fails():
    with pytest.raises(ValueError, match='invalid literal'):
        measure(functools.partial(int, 'x'))


def test_ratios_and_medians():
    runs = {
        name: [Measured(None, seconds, seconds, 10, 5) for seconds in times]
        for name, times in (('a', (1, 2, 4)), ('b', (3, 3, 4)))
    }
    assert figures.time_ratio(runs, 'b', 'a') == 1.5  # of 3, 1.5 and 1
    assert figures.summarize(runs)['b'] == {
        'seconds': 3,
        'min_seconds': 3,
        'max_seconds': 4,
        'cpu_seconds': 3,
        'peak_mb': 10,
        'peak_child_mb': 5,
    }
    lines = figures.runs_table(runs, base='a').splitlines()
    assert lines[0].split()[-2:] == ['x', 'a']
    assert [line.split()[-1] for line in lines[1:]] == ['1.00', '1.50']


def test_runs_take_turns(monkeypatch):
    order = []
    monkeypatch.setattr(figures, 'measure', lambda function: order.append(function()))
    runs = figures.measure_in_rounds({'a': lambda: 'a', 'b': lambda: 'b'}, repeats=2)
    assert [sorted(order[:2]), sorted(order[2:])] == [['a', 'b']] * 2
    assert list(map(len, runs.values())) == [2, 2]


def test_different_numbers_of_boxes_stop_it():
    runs = {name: [Measured(boxes, 1, 1, 1, 0)] for name, boxes in (('a', 3), ('b', 4))}
    with pytest.raises(ValueError, match='found different numbers of boxes'):
        figures.check_boxes(runs)
    assert figures.check_boxes({'a': runs['a']}) == 3
