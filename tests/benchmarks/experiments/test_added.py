"""A class that is held out and added: its boxes, the data of both runs, the table of what it cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from benchmarks.common.activity import locked
from benchmarks.experiments.added import added_table, draw_shots, set_aside, unused, without
from benchmarks.experiments.data import prepare
from benchmarks.experiments.plan import Run
from benchmarks.experiments.run import Worker
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError

VARIANTS = [
    dict(name='base', config='a.py', held_out='vest', replicates=1),
    dict(name='vest_2', config='a.py', held_out='vest', shots=2, base='base'),
    dict(name='vest_3', config='a.py', held_out='vest', shots=3, base='base'),
]
PRIMARY = dict(variant='vest_2', reference='vest_3', measure='new AP')
SETS = dict(new=['vest'], old=['shirt', 'skirt', 'shorts', 'hat'])


def file_of(boxes):
    """A file with one photo for each list of class names."""
    names = list(dict.fromkeys(name for photo in boxes for name in photo))
    annotations = [
        dict(id=100 * n + k, image_id=n, category_id=names.index(name))
        for n, photo in enumerate(boxes)
        for k, name in enumerate(photo)
    ]
    return dict(
        images=[dict(id=n, file_name=f'{n}.jpg') for n in range(len(boxes))],
        annotations=annotations,
        categories=[dict(id=k, name=name, supercategory='all') for k, name in enumerate(names)],
    )


POOL = file_of([['cat', 'dog'], ['dog'], ['cat', 'cat', 'cat'], ['cat'], ['cat', 'cat']])


@pytest.mark.parametrize('boxes', range(1, 8))
@pytest.mark.parametrize('seed', range(4))
def test_shots_are_all_boxes_of_the_class_in_their_photos(boxes, seed):
    if boxes == 7:
        assert len(draw_shots(POOL, 'cat', boxes=7, seed=seed)['images']) == 4
        return
    try:
        found = draw_shots(POOL, 'cat', boxes=boxes, seed=seed)
    except ConfigError as error:  # photos that did not fit were passed over
        assert 'the pool lacks' in str(error)
        return
    assert len(found['annotations']) == boxes
    assert {box['category_id'] for box in found['annotations']} == {0}
    for image in found['images']:
        own, everything = (
            [box for box in coco['annotations'] if box['image_id'] == image['id']]
            for coco in (found, POOL)
        )
        assert own == [box for box in everything if box['category_id'] == 0] != []
    assert found == draw_shots(POOL, 'cat', boxes=boxes, seed=seed)


def test_draws_differ_and_too_many_boxes_are_refused():
    assert len({str(draw_shots(POOL, 'cat', boxes=2, seed=seed)) for seed in range(9)}) > 1
    with pytest.raises(ConfigError, match="8 boxes of 'cat' cannot be drawn: the pool lacks 1"):
        draw_shots(POOL, 'cat', boxes=8, seed=0)
    with pytest.raises(ConfigError, match="'bird': no such class"):
        draw_shots(POOL, 'bird', boxes=1, seed=0)


def test_without_a_class_its_photos_stay():
    left = without(POOL, 'cat')
    assert left['images'] == POOL['images']
    assert [item['name'] for item in left['categories']] == ['dog']
    assert len(left['annotations']) == 2


def test_the_pool_is_what_no_part_has():
    train, pool = set_aside(POOL, 0.4)
    assert len(train['images']) == 3 and len(pool['images']) == 2
    assert unused(POOL, train)['images'] == pool['images']
    assert unused(POOL, train)['annotations'] == pool['annotations']
    assert (train, pool) == set_aside(POOL, 0.4)
    assert unused(POOL, train, pool)['images'] == []


@pytest.fixture
def experiment(experiment_of):
    data = dict(draw='draw.py', images='photos')
    return experiment_of(variants=VARIANTS, primary=PRIMARY, class_sets=SETS, data=data)


def test_data_of_base_and_shots(experiment, source, tmp_path):
    # The draw takes photos 0.jpg (seed 1) and 0.jpg to 3.jpg as val; the pool has the other three.
    whole = tmp_path / 'whole'
    command = [sys.executable, str(source / 'draw.py'), str(whole), '7']
    subprocess.run(command, check=True)
    (whole / 'train.json').rename(source / 'train.json')
    data = {}
    for name, replicate in (('base', 1), ('vest_2', 1), ('vest_2', 3), ('vest_3', 1)):
        folder = tmp_path / f'{name}-{replicate}'
        run = Run('small', name, replicate)
        data[name, replicate] = prepare(experiment, run, source=source, folder=folder)
    assert len({json.dumps(one.digests) for one in data.values()}) == 1
    files = {
        key: {part: json.loads((one.folder / f'{part}.json').read_text()) for part in one.digests}
        for key, one in data.items()
    }
    for part in ('train', 'val'):
        classes = Taxonomy.load(data['base', 1].folder / f'{part}.json').classes
        assert sorted(classes) == sorted(SETS['old'])
    assert len(files['base', 1]['train']['images']) == 1
    for key, content in files.items():
        if key[0] != 'base':
            shots = content['train']
            assert len(shots['annotations']) == len(shots['images']) == int(key[0][-1])
            assert {image['file_name'] for image in shots['images']} <= {'4.jpg', '5.jpg', '6.jpg'}
            assert len(content['val']['annotations']) == 20
    assert files['vest_2', 1]['train'] != files['vest_2', 3]['train']


def test_data_of_a_class_known_by_its_superclass(experiment_of, source, tmp_path):
    known = dict(held_out_as='superclass')
    variants = [VARIANTS[0] | known, *(one | known for one in VARIANTS[1:])]
    data = dict(draw='draw.py', images='photos')
    experiment = experiment_of(variants=variants, primary=PRIMARY, class_sets=SETS, data=data)
    (source / 'train.json').write_text(json.dumps(POOL))
    one = prepare(experiment, Run('small', 'base', 1), source=source, folder=tmp_path / 'base')
    train, val = (
        json.loads((one.folder / f'{name}.json').read_text()) for name in ('train', 'val')
    )
    assert [item['name'] for item in train['categories']] == [*SETS['old'], 'any top']
    (box,) = (box for box in train['annotations'] if box['bbox'][0] == 10)  # the vest
    assert box['category_id'] == train['categories'][-1]['id']
    assert len(train['annotations']) == 5 and len(val['annotations']) == 16
    taxonomy = Taxonomy.load(one.options['taxonomy'])
    assert set(taxonomy.classes) == set(SETS['old'])
    assert taxonomy.superclass_of('shirt') == 'any top'
    assert experiment.recipe('base')['held_out_as'] == 'superclass'


def test_detector_and_base_know_the_same(experiment_of):
    variants = [VARIANTS[0], VARIANTS[1] | dict(held_out_as='superclass'), VARIANTS[2]]
    with pytest.raises(ConfigError, match='vest_2 and base differ in held_out_as'):
        experiment_of(variants=variants, primary=PRIMARY, class_sets=SETS)
    odd = dict(name='odd', config='a.py', held_out_as='superclass')
    with pytest.raises(ConfigError, match='held_out_as is one of background, superclass; it needs'):
        experiment_of(variants=[*VARIANTS, odd], primary=PRIMARY, class_sets=SETS)


@pytest.mark.parametrize(
    'changes', [dict(shots=3), dict(base='base'), dict(shots=3, base='base', held_out='')]
)
def test_incomplete_variants_are_refused(experiment_of, changes):
    variants = [VARIANTS[0], *VARIANTS[1:], VARIANTS[0] | dict(name='odd') | changes]
    with pytest.raises(ConfigError, match='shots needs held_out and base'):
        experiment_of(variants=variants, primary=PRIMARY, class_sets=SETS)


def test_table(experiment, result_of):
    def one(old, new, seconds):
        scores = {'old AP': old, 'new AP': new, 'new AP50': 2 * new}
        return result_of('vest_2', 1, scores=scores, added=dict(seconds=seconds))

    before = result_of('base', 1, scores={'old AP': 30.0})
    results = {('vest_2', 1): one(29.0, 10.0, 60), ('vest_2', 2): one(28.5, 14.0, 62)}
    assert added_table(experiment, results) == ''
    text = added_table(experiment, {('base', 1): before, **results})
    cells = '12.00 (2.83) | 24.00 (5.66) | -1.25 (0.35) | 61.00 (1.41)'
    assert text.splitlines()[2:] == [f'| vest_2 | 2 | 2 | 30.00 | {cells} |']


@pytest.mark.usefixtures('sigterm')
def test_a_turn_is_waited_for_and_inherited(tmp_path, repository):
    """Two runs never train one base at a time, also when one of them is killed."""
    with locked('small.run') as lock:
        worker = Worker(tmp_path, lock, 'cpu')
        probe = 'import fcntl, sys; fcntl.flock(int(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)'
        with worker.turn('queue.training.small'):
            (descriptor,) = worker.turns
            worker.call(sys.executable, '-c', probe, descriptor)
            held = """
from benchmarks.common.activity import locked
with locked('queue.training.small'):
    pass
"""
            code = subprocess.run(
                [sys.executable, '-c', held],
                cwd=repository,
                env={**os.environ, 'PYTHONPATH': str(repository)},
                capture_output=True,
                check=False,
            )
            assert code.returncode and b'already running' in code.stderr
        assert worker.turns == []
        with locked('queue.training.small'):
            pass
