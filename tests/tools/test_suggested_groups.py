"""tools/make_taxonomy.py --from confusion|weights|embeddings: files, screen, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from mmdet_multigrain.taxonomy import Taxonomy

from .conftest import call

NAMES = 'vest', 'shirt', 'skirt', 'shorts', 'boot', 'sandal'
BOX = [5, 5, 20, 40]


def photos(numbers):
    """A photo for each number, with a box of class number % 6, taken for the other of its pair."""
    return {
        'images': [dict(id=n, file_name=f'{n}.jpg', width=60, height=80) for n in numbers],
        'annotations': [
            dict(id=n + 1, image_id=n, category_id=n % 6, bbox=BOX, area=800, iscrowd=0)
            for n in numbers
        ],
        'categories': [
            dict(id=n, name=name, supercategory=('top', 'low', 'foot')[n // 2])
            for n, name in enumerate(NAMES)
        ],
    }


@pytest.fixture
def files(tmp_path):
    held, val = photos(range(36)), photos(range(36, 48))
    found = [dict(image_id=n, category_id=(n % 6) ^ 1, bbox=BOX, score=0.5) for n in range(36)]
    vectors = {name: np.eye(3)[n // 2].tolist() for n, name in enumerate(NAMES)}
    contents = dict(held=held, val=val, dets=found, vectors=vectors)
    for name, content in contents.items():
        (tmp_path / f'{name}.json').write_text(json.dumps(content))
    state = {'roi_head.bbox_head.fc_cls.weight': torch.eye(7)[[0, 0, 1, 1, 2, 2, 3]]}
    torch.save(
        {'state_dict': state, 'meta': {'dataset_meta': {'classes': NAMES}}}, tmp_path / 'a.pth'
    )
    return tmp_path


@pytest.fixture
def run(files):
    def run(source, *arguments):
        inputs = dict(
            confusion=f'{files}/dets.json:{files}/held.json',
            weights=files / 'a.pth',
            embeddings=files / 'vectors.json',
        )
        return call('make_taxonomy', '--from', source, inputs[source], *arguments)

    return run


SAME = {frozenset(NAMES[:2]), frozenset(NAMES[2:4]), frozenset(NAMES[4:])}


def groups_of(path):
    return {frozenset(names) for names in Taxonomy.load(path).to_dict()['groups'].values()}


def test_groups_of_confusions_with_all_that_goes_with_them(files, run):
    out, figure = files / 'out' / 'x.yaml', files / 'out' / 'x.svg'
    options = ['--evaluated-on', files / 'val.json', '--train-ann-file', files / 'held.json']
    more = ['--figure', figure, '--controls', files / 'out', '--out', out]
    result = run('confusion', *options, *more)
    assert (result.status, result.out) == (0, '')
    assert groups_of(out) == SAME
    head = out.read_text().partition('# A taxonomy')[0]
    assert head.startswith(f'# From dets.json, by confusion.\n# validation and test: {files}')
    for line in result.err.splitlines()[:-2]:
        assert f'# {line}\n' in head
    rows = [line.split()[1:] for line in head.splitlines()]
    assert ['3', '*', '100.0%'] in [row[:3] for row in rows]
    assert ['vest', '6', 'like', 'vest', '6', 'shirt', '6'] in rows
    assert 'adjusted Rand index 1.00' in head
    assert figure.read_bytes().startswith(b'<?xml')
    assert Taxonomy.load(files / 'out' / 'one_group.yaml').has_one_group
    before = out.read_bytes(), figure.read_bytes()
    assert run('confusion', *options, *more, '--force').status == 0
    assert (out.read_bytes(), figure.read_bytes()) == before


@pytest.mark.parametrize('source', ['weights', 'embeddings'])
def test_groups_of_vectors(files, run, source):
    assert run(source, '--groups', 3, '--out', files / 'x.yaml').status == 0
    assert groups_of(files / 'x.yaml') == SAME
    line = run(source, '--groups', 'auto').error()
    assert ': nothing tells how many groups are best' in line and '(--groups)' in line
    judge = [
        '--judge',
        f'{files}/dets.json:{files}/held.json',
        '--evaluated-on',
        files / 'val.json',
    ]
    result = run(source, *judge, '--taxonomy', files / 'val.json', '--out', files / 'y.yaml')
    assert result.status == 0 and groups_of(files / 'y.yaml') == SAME
    assert 'agreement with the groups of val.json: adjusted Rand index 1.00' in result.err


def test_checkpoints_that_could_run_code_are_refused(files, run):
    """Without the option that other tools have."""
    torch.save({'state_dict': {}, 'meta': {'where': files}}, files / 'a.pth')
    line = run('weights').error()
    assert 'holds more than weights' in line and line.endswith('; use another file')


def test_photos_of_evaluation_are_refused(files, run, monkeypatch):
    (files / 'same.json').write_text(json.dumps(photos(range(36))))
    line = run('confusion', '--evaluated-on', files / 'val.json', files / 'same.json').error()
    assert f'tested on the photos and boxes of {files}/same.json, which is for' in line
    assert 'name the config that you are going to train (--config)' in run('confusion').error()
    monkeypatch.setenv('MULTIGRAIN_DATA', str(files))
    monkeypatch.setenv('MULTIGRAIN_TRAIN_ANN', 'held.json')
    config = '--config', 'configs/multigrain/wgroup_lite0_fpn_custom.py'
    result = run('confusion', *config)
    assert result.status == 0 and result.err.startswith(f'validation and test: {files}/val.json\n')
    monkeypatch.setenv('MULTIGRAIN_TEST_ANN', 'same.json')
    line = run('confusion', *config).error()
    assert f'boxes of {files}/same.json, which is for validation or test' in line
    for name in ('VAL', 'TEST'):
        monkeypatch.setenv(f'MULTIGRAIN_{name}_ANN', 'none.json')
    line = run('confusion', *config).error()
    assert 'of validation and test are not here; say where (MULTIGRAIN_DATA), or name' in line


@pytest.mark.parametrize(
    ('source', 'arguments', 'message'),
    [
        ('confusion', ['--groups', '1'], "'1' is not a whole number from 2 on"),
        ('confusion', ['--groups', 'some'], "'some' is not a whole number from 2 on"),
        ('confusion', ['--judge', 'x'], '--judge goes with --from weights, embeddings'),
        ('weights', ['--group-by', 'folder'], 'go with --from confusion or --judge'),
        ('weights', ['--config', 'x.py'], 'go with --from confusion or --judge'),
        ('weights', ['x'], 'several files and --coarse go with --from coco'),
        ('embeddings', ['x', 'y'], 'several files and --coarse go with --from coco'),
        ('embeddings', ['--figure', 'x.gif'], '--figure x.gif: name a .png or .svg file'),
    ],
)
def test_options_that_do_not_go_together(run, source, arguments, message):
    result = run(source, *arguments)
    assert result.status == 2 and message in result.err.splitlines()[-1]


def test_options_of_suggestions_with_other_sources(files):
    for option in ('--groups', '--evaluated-on', '--train-ann-file', '--taxonomy'):
        result = call('make_taxonomy', '--from', 'coco', files / 'val.json', option, 3)
        assert result.status == 2 and not result.out
        line = result.err.splitlines()[-1]
        assert f'{option} goes with --from confusion, weights, embeddings' in line


@pytest.mark.parametrize('option', ['--taxonomy', '--train-ann-file', '--evaluated-on'])
def test_what_is_read_is_not_replaced(files, run, option):
    source, own = ('confusion' if option == '--evaluated-on' else 'embeddings'), files / 'val.json'
    before = own.read_bytes()
    line = run(source, option, own, '--out', own, '--force', '--groups', '3').error()
    assert f'{own}: would replace the input {own}; write elsewhere' in line
    assert own.read_bytes() == before


@pytest.mark.parametrize(
    ('source', 'options', 'message'),
    [
        ('embeddings', ['--groups', '4'], 'vectors.json: has no cut into 4 groups (--groups)'),
        ('embeddings', ['--groups', '3', '--taxonomy', 'deepfashion2'], 'taxonomy'),
        ('embeddings', ['--groups', '3', '--train-ann-file', 'none.json'], 'none.json: no such'),
    ],
)
def test_bad_input_is_one_line(run, source, options, message):
    assert message in run(source, *options).error()
