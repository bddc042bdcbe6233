"""A small experiment, and drawn data for it."""

from __future__ import annotations

import copy
import json
import signal
from pathlib import Path

import pytest
import yaml

from benchmarks.experiments.plan import Experiment, load_experiment

CLASSES = dict(shirt='top', vest='top', skirt='bottom', shorts='bottom', hat='head')
CONTENT = dict(
    question='Does it run?',
    rule='Two replicates.',
    primary=dict(variant='wgroup', reference='wogroup', measure='tail AP50'),
    class_sets=dict(tail=['vest', 'shorts']),
    replicates=2,
    pilot=0,
    minutes=30,
    data=dict(draw='draw.py', images='photos'),
    packing=dict(per_box=1, at_least=0, box_step=0.5, score_step=0.001),
    options={'max_iters': 2},
    variants=[
        dict(name='stock', config='stock.py'),
        dict(name='wogroup', config='wogroup.py'),
        dict(name='wgroup', config='wgroup.py', options={'lr': 0.5}),
        dict(name='random', config='wgroup.py', groups='random'),
        dict(name='super', config='stock.py', labels='superclasses'),
    ],
)
# Draws as many pictures as the seed says, each with one box of each class.
DRAW = f"""
import json, sys
from pathlib import Path
names = {CLASSES!r}
folder, seed = Path(sys.argv[1]), int(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)
for part, count in (('train', seed), ('val', 4)):
    images = [dict(id=n + 1, file_name=f'{{n}}.jpg', width=64, height=64) for n in range(count)]
    boxes = [
        dict(id=len(names) * n + k + 1, image_id=n + 1, category_id=k + 1, iscrowd=0, area=100,
             bbox=[10 * k, 10 * k, 10, 10])
        for n in range(count) for k in range(len(names))
    ]
    categories = [
        dict(id=k + 1, name=name, supercategory=group)
        for k, (name, group) in enumerate(names.items())
    ]
    content = dict(images=images, annotations=boxes, categories=categories)
    (folder / f'{{part}}.json').write_text(json.dumps(content))
"""


@pytest.fixture
def sigterm():
    """A worker handles SIGTERM, which this process must not go on doing."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def experiment_of(tmp_path):
    """Makes an experiment from the small one with changed keys."""

    def make(**changes) -> Experiment:
        path = tmp_path / 'runs.yaml'
        path.write_text(yaml.safe_dump(dict(small=copy.deepcopy(CONTENT) | changes)))
        return load_experiment('small', path)

    return make


@pytest.fixture
def source(tmp_path) -> Path:
    """The folder of a data set with a script that draws."""
    folder = tmp_path / 'set'
    (folder / 'photos').mkdir(parents=True)
    (folder / 'draw.py').write_text(DRAW)
    return folder


@pytest.fixture
def result_of():
    """Makes a result of the small experiment, without detections."""

    def make(variant: str, replicate: int, tail: float = 50.0, **changes) -> dict:
        result = dict(
            experiment='small',
            variant=variant,
            replicate=replicate,
            commit='c' * 40,
            digest='d' * 64,
            recipe=dict(config=f'{variant}.py', options={}),
            labels='classes',
            data=dict(train=f'draw {replicate}', val='val'),
            device='cpu',
            hardware='a processor',
            minutes=20.0,
            scores={'tail AP50': tail, 'AP': 30.0, 'AP50': 60.0, 'superclass AP50': 70.0},
            classes={name: dict(AP=30.0, AP50=60.0, train_boxes=9) for name in CLASSES},
            detections=dict(box_step=1, score_step=0.1, limits=[9], dropped=3),
        )
        return json.loads(json.dumps(result | changes))

    return make


@pytest.fixture
def write_results(tmp_path):
    """Writes results of the small experiment where a command finds them; gives the folder."""

    def write(results) -> Path:
        folder = tmp_path / 'results' / 'small'
        folder.mkdir(parents=True)
        for (variant, number), result in results.items():
            (folder / f'{variant}-{number:02d}.json').write_text(json.dumps(result))
        return folder

    return write


@pytest.fixture
def results(result_of) -> dict:
    """Results of two pairs, and of others that are not complete."""
    tails = {('wgroup', 1): 52.0, ('wogroup', 1): 50.0, ('wgroup', 2): 47.0, ('wogroup', 2): 41.0}
    tails |= {('wgroup', 3): 90.0, ('stock', 1): None}
    found = {key: result_of(*key, tail=tail) for key, tail in tails.items()}
    flat = dict(labels='superclasses', scores={'AP50': 77.0, 'AP': 44.0})
    return found | {('super', 1): result_of('super', 1, **flat)}
