"""The Open Images part of the benchmark of converters: its input, and one small run."""

import json

import polars as pl
import pytest

from benchmarks.speed.converter.openimages import write_input
from tests.benchmarks.conftest import start

COLUMNS = (
    'ImageID Source LabelName Confidence XMin XMax YMin YMax '
    'IsOccluded IsTruncated IsGroupOf IsDepiction IsInside'
)


def test_figures(tmp_path):
    out = tmp_path / 'out.json'
    done = start('speed.converters', 'openimages', *'--rows 5000 --repeats 1 --out'.split(), out)
    assert done.status == 0, done.err
    (figures,) = json.loads(out.read_bytes())['results']
    assert figures['rows'] == 5000 and 100 < figures['boxes'] < 250  # 3.4%
    assert figures['ratio'] > 0 and figures['convert']['peak_mb'] > 50
    assert figures['seconds_per_million_rows'] == pytest.approx(figures['convert']['seconds'] * 200)
    assert done.out.startswith('5,000 rows') and 'x filter' in done.out


def test_input_has_the_shape_of_the_release(tmp_path):
    boxes, sizes = tmp_path / 'boxes.csv', tmp_path / 'sizes.csv'
    write_input(boxes, sizes, 5000)
    rows = pl.read_csv(boxes)
    assert rows.columns == COLUMNS.split()
    assert len(rows) == 5000 and rows['ImageID'].is_sorted()
    assert set(rows['ImageID'].str.len_chars()) == {16}
    assert (rows['XMin'] < rows['XMax']).all() and (rows['YMax'] <= 1).all()
    assert set(rows['ImageID']) <= set(pl.read_csv(sizes)['ImageID'])
