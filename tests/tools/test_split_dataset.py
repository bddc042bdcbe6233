"""tools/split_dataset.py: its files, what it prints, and what it refuses."""

import json
import re

import pytest

from .conftest import call


@pytest.fixture
def file(tmp_path):
    images = [
        {'id': n, 'file_name': f'{n // 2}/{n}.jpg', 'width': 9, 'height': 9} for n in range(20)
    ]
    annotations = [
        {'id': n + 1, 'image_id': n % 20, 'category_id': 1 + (n > 20), 'bbox': [0, 0, 5, 5]}
        for n in range(22)
    ]
    categories = [{'id': 1, 'name': 'hat'}, {'id': 2, 'name': 'tie'}]
    path = tmp_path / 'all.json'
    path.write_text(
        json.dumps({'images': images, 'annotations': annotations, 'categories': categories})
    )
    return path


def run(*arguments):
    return call('split_dataset', *arguments)


def ids(path):
    return {image['id'] for image in json.loads(path.read_text())['images']}


def test_three_parts(file, tmp_path):
    shown = run(file, '--out', tmp_path / 'out')
    assert shown.status == 0, shown.err
    parts = [ids(tmp_path / 'out' / f'{name}.json') for name in ('train', 'val', 'test')]
    assert [len(part) for part in parts] == [14, 3, 3] and set.union(*parts) == set(range(20))
    lines = {line.split()[0]: line.split()[1:] for line in shown.out.splitlines()}
    assert lines['(images)'] == ['20', '14', '3', '3']
    assert sum(map(int, lines['hat'][1:])) == int(lines['hat'][0]) == 21
    assert "not in every part, in too few groups: 'tie'" in shown.out


def test_folds_of_folders(file, tmp_path):
    shown = run(file, '--out', tmp_path / 'out', '--folds', 5, '--group-by', 'folder')
    assert shown.status == 0, shown.err
    seen = []
    for fold in range(5):
        train, val = (ids(tmp_path / 'out' / f'fold{fold}' / f'{n}.json') for n in ('train', 'val'))
        assert train | val == set(range(20)) and not train & val
        assert not {n // 2 for n in train} & {n // 2 for n in val}
        seen += val
    assert sorted(seen) == list(range(20))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--fractions', '0.5', '0.6'], '--fractions 0.5 0.6: give two or three'),
        (['--folds', '1'], '--folds 1: at least 2'),
        (['--group-by', 'video'], '--group-by video: not folder'),
        (['--group-by', 'field:video'], "all.json: image 0 .*has no 'video'"),
        (['--folds', '30'], 'all.json: 20 images in 20 groups cannot make 30 parts'),
    ],
)
def test_refusals_are_one_line_and_write_nothing(file, tmp_path, options, message):
    shown = run(file, '--out', tmp_path / 'out', *options)
    assert shown.status == 2 and shown.err.count('\n') == 1
    assert re.search(message, shown.err), shown.err
    assert not (tmp_path / 'out').exists()


def test_a_negative_seed_is_named(file, tmp_path):
    shown = run(file, '--out', tmp_path / 'out', '--seed', -1)
    assert shown.status == 2 and "--seed: '-1' is not a whole number" in shown.err


def test_files_are_replaced_only_if_asked_for(file, tmp_path):
    assert run(file, '--out', tmp_path / 'out').status == 0
    before = (tmp_path / 'out' / 'train.json').read_bytes()
    shown = run(file, '--out', tmp_path / 'out', '--seed', 1)
    assert shown.status == 2 and '--force' in shown.err
    assert (tmp_path / 'out' / 'train.json').read_bytes() == before
    assert run(file, '--out', tmp_path / 'out', '--seed', 1, '--force').status == 0
    assert (tmp_path / 'out' / 'train.json').read_bytes() != before


def test_the_input_is_never_replaced(file, tmp_path):
    source = file.rename(tmp_path / 'train.json')
    before = source.read_bytes()
    shown = run(source, '--out', tmp_path, '--force')
    assert shown.status == 2 and 'would replace the input' in shown.err
    assert source.read_bytes() == before


def test_images_that_name_one_photo_stay_together(file, tmp_path):
    content = json.loads(file.read_text())
    for image in content['images'][10:]:
        image['file_name'] = content['images'][image['id'] - 10]['file_name'].replace('/', '\\')
    file.write_text(json.dumps(content))
    shown = run(file, '--out', tmp_path / 'out')
    assert shown.status == 0, shown.err
    assert '10 groups joined: their images name the same photos' in shown.out
    for name in ('train', 'val', 'test'):
        numbers = ids(tmp_path / 'out' / f'{name}.json')
        assert {(n + 10) % 20 for n in numbers} == numbers


def test_text_that_is_no_utf8_is_refused_in_one_line(file, tmp_path):
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {'info': {'note': '\ud83d'}}))  # half of an emoji
    line = run(file, '--out', tmp_path / 'out').error()
    assert f'{file}: cannot be written as JSON' in line and '--fix' in line
    assert not (tmp_path / 'out').exists()
