"""result.json: full precision, a round trip, and files that are none."""

import json
import math
import os
from dataclasses import replace

import numpy as np
import pytest

from mmdet_multigrain.evaluation import (
    Detections,
    GroundTruth,
    Result,
    RunRecord,
    evaluate_levels,
    read_result,
    summarize,
    write_json,
    write_result,
)
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.levels import at_level
from mmdet_multigrain.utils.errors import EvaluationError, FileError

TAXONOMY = Taxonomy.load({'top': ['vest', 'sling'], 'bottom': ['shorts', 'skirt']})


@pytest.fixture
def result():
    """One image: a vest that is found, a skirt that is not, no sling and no shorts."""
    truth = GroundTruth.from_annotations(
        [7],
        [
            dict(image_id=7, category_id=label, bbox=[10 * label, 0, 9, 9], area=81, iscrowd=0)
            for label in (0, 3)
        ],
        range(4),
    )
    found = Detections(
        images=np.array([0]),
        labels=np.array([0]),
        boxes=np.array([[0, 0, 9, 8.0]]),
        scores=np.array([0.5]),
    )
    levels = evaluate_levels(truth, found, [TAXONOMY.group_index(level) for level in (0, 1)])
    return Result(
        summary=summarize(levels, TAXONOMY, [10, 1, 30, 20], class_sets={'few': ['vest']}),
        taxonomy=TAXONOMY,
        ann_file='val.json',
        detections_file='result.bbox.json',
        run=RunRecord(
            config='a.py',
            seed=3,
            versions={'python': '3.11.7'},
            trained_as={'head': {'grouped': True}},
        ),
    )


def test_round_trip(result, tmp_path):
    path = tmp_path / 'new' / 'result.json'
    write_result(path, result)
    read = read_result(path)
    # NaN differs from itself; its place is compared in the text.
    assert repr(read) == repr(result)
    assert read.run == result.run and read.taxonomy == TAXONOMY
    write_result(path.with_name('again.json'), read)
    assert path.with_name('again.json').read_bytes() == path.read_bytes()


def test_round_trip_of_a_level(result, tmp_path):
    level = at_level(TAXONOMY, 'coarse')
    classes = tuple(replace(row, superclasses=()) for row in result.summary.levels[0].classes)
    groups = replace(result.summary.levels[0], classes=classes)
    summary = replace(
        result.summary, levels=(groups,), class_sets=(), protocol='group (coarse, sum)'
    )
    of_level = replace(result, summary=summary, taxonomy=level.taxonomy, level=level)
    path = tmp_path / 'result.json'
    write_result(path, of_level)
    read = read_result(path)
    assert repr(read) == repr(of_level) and read.leaves == TAXONOMY
    assert (result.max_dets, read.max_dets) == (100, 200)
    content = json.loads(path.read_text())
    content['level']['name'] = 'object'
    path.write_text(json.dumps(content))
    with pytest.raises(EvaluationError, match='its groups are not those of its level'):
        read_result(path)


def test_content(result, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_result(tmp_path / 'a.json', result)
    content = json.loads((tmp_path / 'a.json').read_text())
    assert content['schema_version'] == 3
    assert content['coco']['AP'] == result.summary.fine.coco['AP'] == pytest.approx(0.4)
    vest, sling = content['classes'][:2]
    assert (vest['AP'], vest['train_boxes'], vest['val_boxes']) == (pytest.approx(0.8), 10, 1)
    assert sling['AP'] is None and sling['superclasses'] == ['top']
    assert content['without_ground_truth'] == ['sling', 'shorts']
    assert content['tail'] == {
        'name': 'rarest 30%',
        'counted_on': 'training',
        'classes': ['sling'],
        'tied': [],
        'AP': None,
        'AP50': None,
    }
    assert [row['name'] for row in content['thirds']] == [
        'rare third',
        'middle third',
        'frequent third',
    ]
    (chosen,) = content['class_sets']
    assert (chosen['name'], chosen['classes'], chosen['counted_on']) == ('few', ['vest'], None)
    assert (chosen['AP'], chosen['AP50']) == (pytest.approx(0.8), pytest.approx(1))
    assert content['num_cut'] == content['coarse_levels'][0]['num_cut'] == 0
    assert [row['name'] for row in content['coarse_levels'][0]['classes']] == ['top', 'bottom']
    assert content['run']['seed'] == 3 and content['run']['checkpoint'] is None
    assert content['dataset'] == {'ann_file': 'val.json', 'train_ann_file': None}


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            dict(schema_version=1),
            'of schema version 1, this is 3; write it again with tools/test.py',
        ),
        (dict(schema_version='2'), "of schema version '2', this is 3"),
        (dict(schema_version='x' * 9999), "xxx', this is 3"),
        (dict(schema_version=None), 'no result of a test'),
        (dict(thirds=None), 'not a whole result'),
        (dict(tail={}), "not a whole result ('name' is missing)"),
        (dict(run=dict(color='red')), 'not a whole result'),
        (dict(taxonomy=dict(groups={'a': ['b', 'b']})), 'not a whole result'),
        (dict(classes=[{}]), "not a whole result ('name' is missing)"),
        (
            dict(taxonomy=dict(top=['vest', 'sling'], bottom=['shorts', 'skirt', 'hat'])),
            'not a whole result (its classes are not those of its taxonomy)',
        ),
        (dict(coarse_levels=[]), 'not a whole result (its classes are not those of its taxonomy)'),
    ],
)
def test_another_content_is_one_line(result, tmp_path, change, message):
    path = tmp_path / 'a.json'
    write_result(path, result)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(EvaluationError) as caught:
        read_result(path)
    assert str(caught.value).startswith(f'{path}: ') and '\n' not in str(caught.value)
    assert message in str(caught.value) and len(str(caught.value)) < 500


WRONG = {
    ('num_images',): [-1, 1.5, '1', True, None, 2**70, []],
    ('max_dets',): ['100', None],
    ('engine',): [None, 1],
    ('detections_file',): [1, ['x']],
    ('dataset',): [[], None],
    ('dataset', 'ann_file'): [1],
    ('run',): [[], None],
    ('run', 'seed'): ['1', 1.5, -1],
    ('run', 'config'): [1, {}],
    ('run', 'versions'): [None, ['torch']],
    ('run', 'trained_as'): [[], 1, {'head': 1}, {'head': {'taxonomy': 'deepfashion2'}}],
    ('run', 'versions', 'python'): [None, 3.11],
    ('coco',): [None, []],
    ('coco', 'AP'): ['0.5', -0.1, 1.5, 1e308, True, [0.5]],
    ('classes', 0): ['vest', None, []],
    ('classes', 0, 'name'): [None, 1],
    ('classes', 0, 'val_boxes'): [None, '5', -1, 1.5],
    ('classes', 0, 'train_boxes'): ['5', 0.5],
    ('classes', 0, 'AP50'): ['x', 2],
    ('classes', 0, 'superclasses'): ['top', None, [1]],
    ('thirds', 0): [None, 'x'],
    ('thirds', 0, 'classes'): ['abc', [1], None],
    ('tail', 'AP'): ['x'],
    ('class_sets',): [None, ['x']],
    ('num_cut',): [None, -1],
    ('taxonomy',): ['deepfashion2', None, []],
}


@pytest.mark.parametrize(
    ('place', 'value'), [(place, value) for place, values in WRONG.items() for value in values]
)
def test_values_of_another_kind_are_one_line(result, tmp_path, place, value):
    path = tmp_path / 'a.json'
    write_result(path, result)
    content = json.loads(path.read_text())
    *above, key = place
    entry = content
    for step in above:
        entry = entry[step]
    entry[key] = value
    path.write_text(json.dumps(content))
    with pytest.raises(EvaluationError) as caught:
        read_result(path)
    assert str(caught.value).startswith(f'{path}: not a whole result (')
    assert str(caught.value).isprintable()


def test_a_file_too_large_to_be_one(tmp_path):
    with open(tmp_path / 'a.json', 'wb') as file:
        file.truncate(1 << 40)
    with pytest.raises(EvaluationError, match=r'a.json: cannot be read \(over 256 MiB'):
        read_result(tmp_path / 'a.json')


@pytest.mark.parametrize(
    ('raw', 'message'),
    [
        (b'', 'not valid JSON'),
        (b'{"schema_version": 3', 'not valid JSON'),
        (b'[]', 'no result of a test'),
        (b'"x"', 'no result of a test'),
    ],
)
def test_another_file_is_one_line(tmp_path, raw, message):
    (tmp_path / 'a.json').write_bytes(raw)
    with pytest.raises(EvaluationError, match=message):
        read_result(tmp_path / 'a.json')


def test_no_file(tmp_path):
    with pytest.raises(EvaluationError, match='a.json: cannot be read'):
        read_result(tmp_path / 'a.json')


def test_json_stays_whole_when_writing_fails(tmp_path, monkeypatch, result):
    path = tmp_path / 'result.json'
    write_json(path, {'a': 1})
    with pytest.raises(ValueError):
        write_json(path, {'a': math.nan})

    def full_disk(*_):
        raise OSError('no space left')

    monkeypatch.setattr(os, 'replace', full_disk)
    with pytest.raises(FileError):
        write_result(path, replace(result, ann_file=None))
    assert json.loads(path.read_text()) == {'a': 1}
    assert [item.name for item in tmp_path.iterdir()] == ['result.json']


def test_paths_of_the_data_are_found_from_any_folder(result, tmp_path, monkeypatch):
    start, run, other = (tmp_path / name for name in ('start', 'runs/one', 'other'))
    for folder in (start / 'data', run, other):
        folder.mkdir(parents=True)
    names = ('data/val.json', 'data/train.json', 'data')
    for name in names[:2]:
        (start / name).touch()
    record = replace(result.run, image_folder=names[2])
    given = replace(result, ann_file=names[0], train_ann_file=names[1], run=record)

    def paths(read):
        return read.ann_file, read.train_ann_file, read.run.image_folder

    monkeypatch.chdir(start)
    write_result(run / 'result.json', given)
    assert paths(read_result(run / 'result.json')) == names  # where the test was run
    monkeypatch.chdir(other)
    found = paths(read_result('../runs/one/result.json'))
    assert found == tuple(str(start / name) for name in names)
    # Folders that move together keep their data.
    (tmp_path / 'moved').mkdir()
    for folder in ('start', 'runs'):
        (tmp_path / folder).rename(tmp_path / 'moved' / folder)
    found = paths(read_result(tmp_path / 'moved/runs/one/result.json'))
    assert found == tuple(str(tmp_path / 'moved' / 'start' / name) for name in names)


def test_other_paths_stay_as_they_are(result, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record = replace(result.run, image_folder='s3://bucket/photos')
    given = replace(result, ann_file='/data/val.json', train_ann_file=None, run=record)
    write_result('run/result.json', given)
    assert repr(read_result('run/result.json')) == repr(given)
    # A file of an earlier version: relative to where the test was run.
    content = json.loads((tmp_path / 'run' / 'result.json').read_text())
    content['dataset']['ann_file'] = 'val.json'
    (tmp_path / 'val.json').touch()
    write_json('run/result.json', content)
    assert read_result('run/result.json').ann_file == 'val.json'


def test_round_trip_of_several_trees(result, tmp_path):
    taxonomy = Taxonomy(
        'x',
        TAXONOMY.classes,
        {'kind': TAXONOMY.paths, 'use': [('out',), ('in',), ('out',), ()]},
        main_tree='use',
    )
    truth = GroundTruth.from_annotations([7], [], range(4))
    none = Detections(*(np.zeros(0, int),) * 2, np.zeros((0, 4)), np.zeros(0))
    levels = evaluate_levels(truth, none, [taxonomy.group_index(level) for level in range(3)])
    forest = replace(result, summary=summarize(levels, taxonomy), taxonomy=taxonomy)
    write_result(tmp_path / 'result.json', forest)
    read = read_result(tmp_path / 'result.json')
    assert repr(read) == repr(forest) and read.taxonomy == taxonomy
    assert [level.tree for level in read.summary.levels] == ['kind', 'use', '']
