"""tools/analysis_tools/browse.py: missing photos, empty runs, wrong options, files of others."""

from __future__ import annotations

import json

import pytest

from .browse_cases import (
    browse,
    make_photos,
    options,
    rows_of,
    write,
)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp('photos to browse'))


def test_some_photos_are_not_there(data, tmp_path):
    images = tmp_path / 'images' / 'deep'
    images.mkdir(parents=True)
    for number in (1, 2):
        name = f'photo {number} ü.jpg'
        (images / name).write_bytes((data / 'images' / 'deep' / name).read_bytes())
    (images / 'photo 3 ü.jpg').write_bytes(b'no photo')
    result = browse(*options(data, tmp_path / 'out', 'bad'), '--images', tmp_path / 'images')
    assert result.status == 0
    assert '2 x photo left out' in result.err
    assert 'photo 3 ü.jpg: not a readable photo' in result.err
    assert 'photo 4 ü.jpg: no such photo' in result.err
    assert not (tmp_path / 'out' / 'bad' / 'missed').exists()
    assert {row['image_id'] for row in rows_of(tmp_path / 'out')} == {'1', '2'}


def test_photos_that_are_nowhere(data, tmp_path):
    (tmp_path / 'images').mkdir()
    run = options(data, tmp_path / 'out', 'bad')
    assert (
        'none of the 4 photos to show is there (first: deep/photo 1 ü.jpg); name their folder '
        '(--images)'
    ) in browse(*run, '--images', tmp_path / 'images').error()
    assert 'nowhere: no such folder of photos' in browse(*run, '--images', 'nowhere').error()
    assert (
        'does not say where the photos are'
        in browse(
            data / 'bad.json', '--ann-file', data / 'truth.json', '--out', tmp_path / 'out'
        ).error()
    )
    assert not (tmp_path / 'out').exists()


def test_runs_without_detections(data, tmp_path):
    empty = write(tmp_path / 'empty.json', [])
    rest = ['--ann-file', data / 'truth.json', '--images', data / 'images', '--out', tmp_path]
    assert f'{empty}: no detections; look at the run' in browse(empty, *rest).error()
    assert (
        '(the best has 0.950); lower --score-thr'
        in browse(data / 'bad.json', *rest, '--score-thr', '0.99').error()
    )
    assert 'ground truth' in browse(data / 'bad.json', *rest[2:]).error()


def test_runs_on_different_ground_truth(data, tmp_path):
    content = json.loads((data / 'truth.json').read_bytes())
    content['annotations'].pop()
    other = write(tmp_path / 'other.json', content)
    assert (
        'on other ground truth'
        in browse(
            f'{data / "good.json"}:{data / "truth.json"}',
            f'{data / "bad.json"}:{other}',
            '--images',
            data / 'images',
            '--out',
            tmp_path / 'out',
        ).error()
    )


def test_wrong_options(data, tmp_path):
    run = options(data, tmp_path / 'out', 'bad')
    assert "--classes: class 'shirts' is not in" in browse(*run, '--classes', 'shirts').error()
    for wrong in (
        ['--num', '-1'],
        ['--per-kind', '1000'],
        ['--width', '5'],
        ['--width', 'wide'],
        ['--score-thr', 'nan'],
        ['--score-thr', 'high'],
    ):
        result = browse(*run, *wrong)
        assert result.status == 2 and 'error: argument' in result.err.splitlines()[-1]
    (tmp_path / 'file').touch()
    assert 'cannot be written' in browse(*options(data, tmp_path / 'file', 'bad')).err
    assert [path.name for path in tmp_path.iterdir()] == ['file']


@pytest.mark.parametrize('name', ['index.html', 'index.csv'])
def test_files_of_other_commands_stay(data, tmp_path, name):
    (tmp_path / name).write_text('mine')
    line = browse(*options(data, tmp_path, 'bad')).error()
    assert f'{tmp_path / name}: already exists, from another command' in line
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert browse(*options(data, tmp_path, 'bad'), '--force').status == 0
