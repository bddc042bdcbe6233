"""The data of runs: draws shared by variants, other labels, other groups."""

from __future__ import annotations

import json

import pytest

from benchmarks.experiments.data import prepare, relabel
from benchmarks.experiments.plan import RUNS, Run, load_experiment
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError

VARIANTS = [
    dict(name='wgroup', config='a.py'),
    dict(name='wogroup', config='b.py'),
    dict(name='random', config='a.py', groups='random'),
    dict(name='super', config='c.py', labels='superclasses'),
    dict(name='object', config='c.py', labels='object'),
    dict(name='coarse', config='a.py', coarse=0.5),
    dict(name='dropped', config='a.py', coarse=0.5, drop_coarse=True),
]


@pytest.fixture
def prepared(experiment_of, source, tmp_path):
    experiment = experiment_of(variants=VARIANTS)

    def make(variant, replicate):
        folder = tmp_path / f'{variant}-{replicate}'
        run = Run('small', variant, replicate)
        return prepare(experiment, run, source=source, folder=folder)

    return make


def test_variants_of_a_replicate_share_the_draw(prepared):
    data = {name: prepared(name, 3) for name in ('wgroup', 'random', 'super')}
    assert len({json.dumps(value.digests) for value in data.values()}) == 1
    other = prepared('wgroup', 4)
    assert other.digests['train'] != data['wgroup'].digests['train']
    assert other.digests['val'] == data['wgroup'].digests['val']
    assert len(json.loads((other.folder / 'train.json').read_text())['images']) == 4


def test_halves_of_the_evaluation_set(experiment_of, source, tmp_path):
    found = []
    for half in (1, 2):
        experiment = experiment_of(data=dict(draw='draw.py', images='photos', half=half))
        run, folder = Run('small', 'wgroup', 3), tmp_path / f'half{half}'
        prepare(experiment, run, source=source, folder=folder)
        val, train = (
            json.loads((folder / f'{name}.json').read_text()) for name in ('val', 'train')
        )
        assert {box['image_id'] for box in val['annotations']} == {
            image['id'] for image in val['images']
        }
        found.append([image['id'] for image in val['images']])
        assert len(train['images']) == 3
    assert found == [[1, 3], [2, 4]]


def test_options_lead_to_the_files(prepared, source):
    data = prepared('wgroup', 1)
    assert data.options == dict(data_root=str(data.folder), images=f'{source / "photos"}/')
    assert data.groups is None


def test_random_groups_of_the_same_sizes_and_label_order(prepared):
    drawn = [prepared('random', number) for number in range(1, 6)]
    for data in drawn:
        taxonomy = Taxonomy.load(data.options['taxonomy'])
        given = Taxonomy.load(data.folder / 'train.json')
        assert taxonomy.classes == given.classes
        sizes = [sorted(map(len, value.values())) for value in (data.groups,)]
        assert sizes == [[1, 2, 2]]
    assert len({json.dumps(data.groups) for data in drawn}) > 2
    assert prepared('random', 2).groups == drawn[1].groups


def test_groups_of_a_file_next_to_the_file_of_runs(experiment_of, source, tmp_path, monkeypatch):
    monkeypatch.setattr('benchmarks.experiments.data.RUNS', tmp_path / 'runs.yaml')
    groups = {'warm': ['shirt', 'hat'], 'short': ['vest', 'skirt', 'shorts']}
    (tmp_path / 'mine.yaml').write_text(json.dumps(dict(name='mine', groups=groups)))
    variants = [*VARIANTS, dict(name='mine', config='a.py', groups='mine.yaml')]
    run = Run('small', 'mine', 1)
    data = prepare(experiment_of(variants=variants), run, source=source, folder=tmp_path / 'x')
    assert data.groups == groups
    taxonomy = Taxonomy.load(data.options['taxonomy'])
    assert taxonomy.superclass_of('hat') == 'warm' and taxonomy.num_classes == 5


def test_stored_groups_are_of_their_classes():
    stored = list(RUNS.parent.glob('*_suggested.yaml'))
    assert stored
    for path in stored:
        taxonomy = Taxonomy.load(path)
        experiment = load_experiment(path.name.replace('suggested.yaml', 'groups'))
        members = [name for names in experiment.class_sets.values() for name in names]
        assert not taxonomy.is_ungrouped and {*members} <= {*taxonomy.classes}


@pytest.mark.parametrize(
    ('variant', 'names'), [('super', ['top', 'bottom', 'head']), ('object', ['object'])]
)
def test_other_labels(prepared, variant, names):
    data = prepared(variant, 1)
    given, found = (
        json.loads((folder / 'val.json').read_text())
        for folder in (data.folder / 'drawn', data.folder)
    )
    assert [item['name'] for item in found['categories']] == names
    group_of = {item['id']: item['supercategory'] for item in given['categories']}
    name_of = {item['id']: item['name'] for item in found['categories']}
    for before, after in zip(given['annotations'], found['annotations'], strict=True):
        assert before['bbox'] == after['bbox'] and before['id'] == after['id']
        expected = 'object' if variant == 'object' else group_of[before['category_id']]
        assert name_of[after['category_id']] == expected
    assert relabel(given, 'classes') is given


def test_coarse_boxes_only_in_training(prepared):
    data = {name: prepared(name, 4) for name in ('wgroup', 'coarse', 'dropped')}
    assert len({json.dumps(value.digests) for value in data.values()}) == 1
    assert data['wgroup'].coarse is None and 'taxonomy' not in data['wgroup'].options
    files = {
        name: [json.loads((value.folder / f'{part}.json').read_text()) for part in ('train', 'val')]
        for name, value in data.items()
    }
    assert files['coarse'][1] == files['dropped'][1] == files['wgroup'][1]
    # 4 pictures of 5 boxes; the hat keeps its label, so 3 pictures lose 12 of 20.
    assert len(files['coarse'][0]['annotations']) == 20
    assert len(files['dropped'][0]['annotations']) == 8
    for name in ('coarse', 'dropped'):
        assert data[name].coarse['reached'] == 0.6
        taxonomy = Taxonomy.load(data[name].options['taxonomy'])
        assert taxonomy.classes == Taxonomy.load(data['wgroup'].folder / 'train.json').classes
        names = [item['name'] for item in files[name][0]['categories']]
        assert None not in [taxonomy.find(category, coarse=True) for category in names]


def test_errors_name_the_data_set(experiment_of, source, tmp_path):
    run = Run('small', 'wgroup', 1)
    with pytest.raises(ConfigError, match='no such folder; name the data set of small: --data'):
        prepare(experiment_of(), run, source=tmp_path / 'nowhere', folder=tmp_path)
    (source / 'draw.py').write_text('raise SystemExit("no pictures")')
    with pytest.raises(ConfigError, match='draw.py failed: no pictures'):
        prepare(experiment_of(), run, source=source, folder=tmp_path / 'x')
