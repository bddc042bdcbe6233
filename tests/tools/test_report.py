"""tools/analysis_tools/report.py: the files it writes, and one line for whatever is wrong."""

from __future__ import annotations

import json
import re

import pytest

from mmdet_multigrain.taxonomy import Taxonomy

from ..report.runs.made_runs import (
    SCRIPT,
    TAXONOMY,
    detect,
    write_ground_truth,
    write_run,
    write_runs,
)
from .conftest import call


def report(*arguments):
    return call('analysis_tools/report', *arguments)


def read(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file()
    }


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    """A baseline and two variants, two seeds each."""
    return write_runs(tmp_path_factory.mktemp('runs'))


@pytest.fixture(scope='module')
def written(runs, tmp_path_factory):
    """One report on them: its folder and its screen."""
    out = tmp_path_factory.mktemp('report') / 'new' / 'folder'
    result = report(*runs, '--out', out, '--resamples', 30)
    assert result.status == 0, result.err
    return out, result


def test_all_files_are_there(written):
    out, result = written
    files = read(out)
    tables = [
        'answer_gains',
        'answers',
        'calibration',
        'class_gains',
        'classes',
        'confusions',
        'errors',
        'errors_by_class',
        'frequency',
        'gains_difference',
        'gains_mean',
        'overall',
        'runs',
        'seeds',
        'summary',
        'superclasses',
    ]
    figures = ['answers', 'calibration', 'confusion_baseline', 'confusion_best', 'errors']
    figures.append('gain_per_class')
    assert sorted(files) == sorted(
        [
            'report.html',
            'report.md',
            *(f'tables/{name}.{kind}' for name in tables for kind in ('csv', 'tex')),
            *(f'tables/{name}.csv' for name in ('scores', 'gains_all', 'errors_all')),
            'tables/answer_gains_all.csv',
            *(f'figures/{name}.{kind}' for name in figures for kind in ('png', 'svg')),
        ]
    )
    assert f'written to {out}' in result.out and 'verdict on AP' in result.out
    linked = re.findall(r'\]\((figures/.*?)\)', files['report.md'].decode())
    assert len(linked) == len(figures) and set(linked) <= set(files)


def test_names_are_taken_literally_everywhere(written):
    files = read(written[0])
    html = files['report.html'].decode()
    assert html.count('<script') == 1 and '&lt;script&gt;' in html and '<b>' not in html
    assert 'a &amp; b_<wbr>c%' in html
    assert r'\<script>' in files['report.md'].decode()
    for name, content in files.items():
        if name.endswith('.tex'):
            bare = re.sub(rb'\$(\\pm|-|\^\{\\circ\})\$', b'', content)  # our own signs
            assert not re.search(rb'<|(?<!\\)[_$]|(?<!^)(?<![\\\n])%', bare), name
        if name.endswith('.svg'):
            assert b'<script' not in content, name
    assert SCRIPT in files['tables/classes.csv'].decode()


def test_the_same_again(runs, written, tmp_path):
    result = report(*runs, '--out', tmp_path, '--resamples', 30)
    assert result.status == 0, result.err
    assert read(tmp_path) == read(written[0])


def test_the_paper_alone(tmp_path):
    for dataset, values in (('df2', ('+2.28', '+3.65', '+2.55')), ('oiv4c', ('+2.49', '+4.59'))):
        result = report('--paper', dataset, '--out', tmp_path / dataset)
        assert result.status == 0, result.err
        text = (tmp_path / dataset / 'report.md').read_text()
        assert all(value in text and value in result.out for value in values)


def test_baseline_by_its_whole_name_and_no_bootstrap(runs, tmp_path):
    result = report(*runs, '--out', tmp_path, '--baseline', 'merged_r18_made', '--no-bootstrap')
    assert result.status == 0, result.err
    text = (tmp_path / 'report.md').read_text()
    assert 'gains over merged' in text and 'interval' not in text.replace('intervals', '')
    assert 'Without intervals, noise is not ruled out' in text


def test_detections_of_another_framework(tmp_path):
    truth = write_ground_truth(tmp_path / 'val.json')
    for number, name in enumerate(('mine', 'theirs')):
        (tmp_path / f'{name}.json').write_text(
            json.dumps(detect(truth, wrong=0.3 * number, seed=1))
        )
    result = report(
        tmp_path / 'mine.json',
        f'other={tmp_path / "theirs.json"}',
        '--ann-file',
        truth,
        '--out',
        tmp_path / 'out',
        '--resamples',
        20,
        '--taxonomy',
        truth,
        '--max-dets',
        50,
    )
    assert result.status == 0, result.err
    text = (tmp_path / 'out' / 'report.md').read_text()
    assert 'at most 50 detections per image' in text
    assert '# Report: mine, other' in text and 'as no training file is known' in text


def changed(folder, **changes):
    """A result.json with some keys changed."""
    path = folder / 'result.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture
def pair(tmp_path):
    """Two work dirs on one ground truth."""
    truth = write_ground_truth(tmp_path / 'val.json')
    return [
        write_run(tmp_path / name, truth, wrong=0.2, seed=0, config=f'{name}.py')
        for name in ('one', 'two')
    ]


def test_runs_on_other_ground_truth(pair, tmp_path):
    other = write_ground_truth(tmp_path / 'other.json', seed=1)
    third = write_run(tmp_path / 'three', other, wrong=0.2, seed=0, config='three.py')
    error = report(pair[0], third, '--out', tmp_path / 'out').error()
    assert 'on other ground truth' in error and str(third) in error
    assert not (tmp_path / 'out').exists()


def test_runs_on_other_classes(pair, tmp_path):
    fewer = Taxonomy.load({'groups': {'top': TAXONOMY.classes[:2]}, 'ungrouped': ['hat']})
    truth = write_ground_truth(tmp_path / 'fewer.json', taxonomy=fewer)
    third = write_run(
        tmp_path / 'three', truth, wrong=0.2, seed=0, config='three.py', taxonomy=fewer
    )
    error = report(pair[0], third, '--out', tmp_path / 'out').error()
    assert "lacks '*x* | `y` $z$', 'skirt'" in error


def test_classes_of_another_paper(pair, tmp_path):
    error = report(*pair, '--paper', 'oiv4c', '--out', tmp_path / 'out').error()
    assert 'none of its classes is one of oiv4c' in error


def test_nothing_to_report(tmp_path):
    assert 'no run named' in report('--out', tmp_path).error()
    assert 'no such run' in report(tmp_path / 'none', '--out', tmp_path).error()


def test_unknown_baseline(pair, tmp_path):
    error = report(*pair, '--baseline', 'onne', '--out', tmp_path / 'out').error()
    assert "no variant is called 'onne'; did you mean 'one'?" in error


def test_older_schema(pair, tmp_path):
    changed(pair[1], schema_version=1)
    error = report(*pair, '--out', tmp_path / 'out').error()
    assert 'of schema version 1, this is' in error and 'tools/test.py' in error


def test_detections_of_another_test(pair, tmp_path):
    """The result says one AP, its detections give another: refused, not mixed."""
    truth = tmp_path / 'val.json'
    (pair[1] / 'result.bbox.json').write_text(json.dumps(detect(truth, wrong=0.9, seed=7)))
    result = report(*pair, '--out', tmp_path / 'out', '--resamples', 5)
    assert result.status == 2 and 'Traceback' not in result.err
    assert 'but its detections give' in result.err.splitlines()[-1]
    assert not (tmp_path / 'out').exists()


def test_scores_that_are_no_numbers(pair, tmp_path):
    path = pair[1] / 'result.bbox.json'
    found = json.loads(path.read_text())
    found[3]['score'] = float('nan')
    path.write_text(json.dumps(found))
    assert 'not finite' in report(*pair, '--out', tmp_path / 'out').error()


@pytest.mark.parametrize('name', ['report.html', 'report.md'])
def test_files_of_other_commands_stay(pair, tmp_path, name):
    (tmp_path / name).write_text('mine')
    arguments = (*pair, '--no-bootstrap', '--out', tmp_path)
    assert f'{tmp_path / name}: already exists, from' in report(*arguments).error()
    assert (tmp_path / name).read_text() == 'mine'
    for more in (['--force'], []):
        assert report(*arguments, *more).status == 0


def test_a_folder_that_cannot_be_written(pair, tmp_path):
    file = tmp_path / 'file'
    file.write_text('')
    error = report(*pair, '--out', file / 'out').error()
    assert f'{file} is a file' in error and file.read_text() == ''


@pytest.mark.parametrize('option', ['--resamples', '--seed', '--max-dets'])
@pytest.mark.parametrize('value', ['-1', 'x', '1.5'])
def test_numbers_are_whole(option, value, tmp_path):
    result = report('--paper', 'df2', '--out', tmp_path / 'out', f'{option}={value}')
    assert result.status == 2 and 'not a whole number' in result.err
