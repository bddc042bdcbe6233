"""The Open Images part of the benchmark of converters: its input, and one small run."""

import json

import polars as pl
import pytest

from tests.benchmarks.conftest import start


@pytest.fixture(scope='module')
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp('benchmark')
    done = start(
        'speed.converters',
        'openimages',
        *('--rows', 5000, '--repeats', 1, '--dir', folder, '--out', folder / 'out.json'),
    )
    assert done.status == 0, done.err
    return folder, done.out


def test_figures(result):
    folder, screen = result
    (figures,) = json.loads((folder / 'out.json').read_bytes())['results']
    assert figures['rows'] == 5000 and 100 < figures['boxes'] < 250  # 3.4 %
    assert figures['ratio'] > 0 and figures['convert']['peak_mb'] > 50
    assert figures['seconds_per_million_rows'] == pytest.approx(figures['convert']['seconds'] * 200)
    assert screen.startswith('5,000 rows') and 'x filter' in screen


def test_input_has_the_shape_of_the_release(result):
    rows = pl.read_csv(result[0] / '5000_rows.csv')
    assert rows.columns == [
        'ImageID',
        'Source',
        'LabelName',
        'Confidence',
        'XMin',
        'XMax',
        'YMin',
        'YMax',
        'IsOccluded',
        'IsTruncated',
        'IsGroupOf',
        'IsDepiction',
        'IsInside',
    ]
    assert len(rows) == 5000 and rows['ImageID'].is_sorted()
    assert set(rows['ImageID'].str.len_chars()) == {16}
    assert (rows['XMin'] < rows['XMax']).all() and (rows['YMax'] <= 1).all()
    sizes = pl.read_csv(result[0] / '5000_rows_sizes.csv')
    assert set(rows['ImageID']) <= set(sizes['ImageID'])
