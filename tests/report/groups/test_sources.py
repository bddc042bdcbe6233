"""What tells how alike classes are, and what is refused."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from mmdet_multigrain.report.groups.sources import from_checkpoint, from_files, from_run
from mmdet_multigrain.report.runs.load import load_runs
from mmdet_multigrain.taxonomy import TaxonomyError
from mmdet_multigrain.utils.errors import CheckpointError, ReportError

# Ten photos of one box each, taken for the next class.
NAMES = 'vest', 'sling', 'skirt', 'shorts', 'hat'
BOX = [5.0, 5.0, 20.0, 40.0]
TRUTH = {
    'images': [
        {'id': n, 'file_name': f'site{n % 3}/{n}.jpg', 'width': 60, 'height': 80} for n in range(10)
    ],
    'annotations': [
        {'id': n + 1, 'image_id': n, 'category_id': n % 5, 'bbox': BOX, 'iscrowd': 0, 'area': 800}
        for n in range(10)
    ],
    'categories': [
        {'id': n, 'name': name, 'supercategory': 'top' if n < 2 else 'low' if n < 4 else 'none'}
        for n, name in enumerate(NAMES)
    ],
}


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


@pytest.fixture
def tested(write):
    """Makes a run on other photos than those of val.json."""

    def make(truth=TRUTH, step=1):
        detections = [
            {
                'image_id': item['image_id'],
                'category_id': (item['category_id'] + step) % 5,
                'bbox': BOX,
                'score': 0.5,
            }
            for item in truth['annotations']
        ]
        paths = write('dets.json', detections), write('held.json', truth)
        (run,) = load_runs([':'.join(map(str, paths))])
        return run

    return make


def moved(start):
    """The same boxes on photos with other names from a number on."""
    images = [
        image | {'file_name': f'new/{image["id"]}.jpg'} if image['id'] >= start else image
        for image in TRUTH['images']
    ]
    return TRUTH | {'images': images, 'annotations': TRUTH['annotations'][1:]}


def test_confusions_of_a_run(tested, write):
    found = from_run(tested(), [write('val.json', moved(0))])
    assert found.taxonomy.classes == NAMES and found.taxonomy.group_names(0)[0] == 'top'
    assert sum(found.halves).tolist() == (2 * np.roll(np.eye(5, dtype=int), 1, axis=1)).tolist()
    assert found.train_boxes is None and found.notes == ()


def test_photos_of_one_place_stay_in_one_half(tested, write):
    found = from_run(tested(), [write('val.json', moved(0))], group_by='folder')
    assert sorted(half.sum() for half in found.halves) in ([3, 7], [4, 6])


def test_photos_of_evaluation_are_refused(tested, write):
    order = {key: TRUTH[key][::-1] for key in ('images', 'annotations')}
    for same in (TRUTH, TRUTH | order):
        path = write('val.json', same)
        with pytest.raises(
            ReportError, match=f'dets.json: tested on the photos and boxes of {path}'
        ):
            from_run(tested(), [write('other.json', moved(0)), path])
    found = from_run(tested(), [write('val.json', moved(4))])
    assert found.notes[0].endswith(
        f'4 of 10 photos are in {write("val.json", moved(4))}, which is for validation or test: '
        'these groups flatter it'
    )


def test_photos_that_the_detector_was_trained_on_are_named(tested, write):
    train, run = write('train.json', moved(7)), tested()
    result = dataclasses.replace(run.result, train_ann_file=str(train))
    found = from_run(dataclasses.replace(run, result=result), [write('val.json', moved(0))])
    assert found.notes == (
        f'{run.source}: 7 of 10 photos are in {train}, which the detector was trained on: on others '
        'it errs otherwise',
    )


def test_runs_of_groups_are_refused(tested, write):
    run = tested()
    (run,) = load_runs([f'{run.source}:{run.test_set.path}'], level='coarse')
    with pytest.raises(ReportError, match='dets.json: tested by groups; test it again by classes'):
        from_run(run, [write('val.json', moved(0))])


def test_runs_that_tell_nothing_are_refused(tested, write):
    with pytest.raises(ReportError, match='no box is taken for another class; test on more'):
        from_run(tested(step=0), [write('val.json', moved(0))])


def checkpoint(path, rows, **meta):
    torch.save({'meta': meta, 'state_dict': rows}, path)
    return path


ROWS = torch.tensor([[1.0, 0], [3, 0], [2, 6], [9, 9]])  # the last is background
HEAD = 'roi_head.bbox_head.fc_cls.weight'
CLASSES = {'classes': ('a', 'b', 'c')}


def test_rows_of_a_classifier_less_their_mean(tmp_path):
    expected = [[-1, -2], [1, -2], [0, 4]]
    state = {HEAD: ROWS.half(), 'roi_head.bbox_head.coarse_fc_cls.0.weight': ROWS * 7}
    found = from_checkpoint(checkpoint(tmp_path / 'a.pth', state, dataset_meta=CLASSES))
    assert found.rows.tolist() == expected and found.taxonomy.classes == ('a', 'b', 'c')
    grouped = {'taxonomy': {'name': 'g', 'groups': {'x': ['a', 'b'], 'y': ['c']}}, **CLASSES}
    stages = {HEAD.replace('head.f', f'head.{n}.f'): ROWS * n for n in range(3)}
    found = from_checkpoint(checkpoint(tmp_path / 'b.pth', stages, dataset_meta=grouped))
    assert found.rows.tolist() == [[2 * value for value in row] for row in expected]
    assert found.taxonomy.name == 'g' and found.taxonomy.group_names(0) == ('x', 'y')


@pytest.mark.parametrize(
    ('state', 'meta', 'message'),
    [
        ({HEAD: ROWS}, {}, 'does not name its classes; take one'),
        ({HEAD: ROWS}, {'dataset_meta': {'classes': ()}}, 'does not name its classes; take one'),
        ({'bbox_head.retina_cls.weight': ROWS}, {'dataset_meta': CLASSES}, 'has no box head'),
        ({HEAD: ROWS[:2]}, {'dataset_meta': CLASSES}, 'a row of numbers for each of its 3 classes'),
        ({HEAD: ROWS * torch.nan}, {'dataset_meta': CLASSES}, 'a row of numbers for each'),
    ],
)
def test_checkpoints_that_tell_nothing(tmp_path, state, meta, message):
    path = checkpoint(tmp_path / 'a.pth', state, **meta)
    with pytest.raises(CheckpointError, match=f'^{path}: .*{message}'):
        from_checkpoint(path)


def test_vectors_of_a_user(write, tmp_path):
    found = from_files(write('mine.json', {'b': [1, 0.5], 'a': [2, 3]}))
    assert found.taxonomy.classes == ('b', 'a') and found.taxonomy.name == 'mine'
    assert found.rows.tolist() == [[1, 0.5], [2, 3]]
    np.save(tmp_path / 'mine.npy', np.array([[1, 2], [3, 4]], np.float16))
    found = from_files(tmp_path / 'mine.npy', write('names.txt', '\ufeffcoat \n\nstraße\n'))
    assert found.taxonomy.classes == ('coat', 'straße') and found.rows.dtype == np.float64


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('[1]', 'not an object with a list of numbers for each class'),
        ('{"a": [1], "b": ["x"]}', 'not an object with a list of numbers for each class'),
        ('{"a": [true]}', 'not an object with a list of numbers for each class'),
        ('{"a": []}', 'not an object with a list of numbers for each class'),
        ('{"a": [1], "b": [1, 2]}', 'vectors of different lengths'),
        ('{"a": [1', r'cannot be read \('),
        ('{"a": [NaN]}', r'cannot be read \('),
    ],
)
def test_vectors_that_cannot_be_used(write, content, message):
    path = write('mine.json', content)
    with pytest.raises(ReportError, match=f'^{path}: {message}'):
        from_files(path)


@pytest.mark.parametrize(
    ('rows', 'names', 'message'),
    [
        (np.ones((3, 2)), 'a\nb', r'3 rows, but .*names.txt has 2 names'),
        (np.ones(3), 'a\nb\nc', 'not an array of numbers with a row for each class'),
        (np.array([['x'], ['y']]), 'a\nb', 'not an array of numbers'),
        (np.array([[{}], [1]], dtype=object), 'a\nb', r'cannot be read \('),
        (np.array([[1], [np.inf]]), 'a\nb', "not finite: the vectors of 'b'"),
        (np.ones((2, 2)), None, 'a .npy file needs the names of its rows'),
    ],
)
def test_arrays_that_cannot_be_used(write, tmp_path, rows, names, message):
    path = tmp_path / 'mine.npy'
    np.save(path, rows)
    with pytest.raises(ReportError, match=f'^{path}: {message}'):
        from_files(path, names and write('names.txt', names))


def test_other_files_that_cannot_be_used(write, tmp_path):
    names = write('names.txt', 'a')
    with pytest.raises(ReportError, match='JSON holds names and vectors, and goes alone'):
        from_files(write('mine.json', {'a': [1]}), names)
    with pytest.raises(ReportError, match='mine.npy: cannot be read'):
        from_files(write('mine.npy', 'text'), names)
    with pytest.raises(ReportError, match='none.json: cannot be read .No such file'):
        from_files(tmp_path / 'none.json')
    with pytest.raises(TaxonomyError, match="'a'.* is listed twice"):
        np.save(tmp_path / 'two.npy', np.ones((2, 2)))
        from_files(tmp_path / 'two.npy', write('names.txt', 'a\na'))
