"""The set on disk: layout, determinism, resuming, refusing, and the way through the converter."""

import json
import os

import cv2
import pytest

from mmdet_multigrain.converters import synthetic_deepfashion2 as module
from mmdet_multigrain.converters.deepfashion2 import convert
from mmdet_multigrain.converters.synthetic_deepfashion2 import SyntheticSpec, generate
from mmdet_multigrain.utils.errors import ConverterError

SPEC = SyntheticSpec(num_train=5, num_val=3, width=64, height=80, difficulty='medium', seed=3)


def make(out, spec=SPEC, **options):
    return generate(out, spec, progress=False, **options)


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file()
    }


def test_layout(tmp_path):
    assert make(tmp_path / 'set') == 8
    expected = {'synthetic.json'} | {
        os.path.join(split, kind, f'{n:06d}.{suffix}')
        for split, count in (('train', 5), ('validation', 3))
        for n in range(1, count + 1)
        for kind, suffix in (('image', 'jpg'), ('annos', 'json'))
    }
    assert set(contents(tmp_path / 'set')) == expected
    image = cv2.imread(str(tmp_path / 'set' / 'train' / 'image' / '000001.jpg'))
    assert image.shape == (80, 64, 3)


def test_same_bytes_with_any_number_of_workers_and_another_seed_differs(tmp_path):
    make(tmp_path / 'a')
    make(tmp_path / 'b', workers=2)
    make(tmp_path / 'c', SyntheticSpec(**{**SPEC.__dict__, 'seed': 4}))
    a, b, c = (contents(tmp_path / name) for name in 'abc')
    assert a == b
    assert all(a[name] != c[name] for name in a if name.endswith('.jpg'))


def test_a_larger_set_begins_with_the_smaller_one(tmp_path):
    make(tmp_path / 'a')
    make(tmp_path / 'b', SyntheticSpec(**{**SPEC.__dict__, 'num_train': 7}))
    a, b = contents(tmp_path / 'a'), contents(tmp_path / 'b')
    del a['synthetic.json']
    assert all(b[name] == content for name, content in a.items())


def test_complete_set_is_left_alone(tmp_path):
    make(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*.jpg')}
    assert make(tmp_path) == 0
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*.jpg')}


def test_interrupted_call_is_completed(tmp_path, monkeypatch):
    make(tmp_path / 'whole')
    writes = []

    def interrupt(path, data):
        writes.append(path)
        if len(writes) == 5:  # the second picture's annotation: its image already exists
            raise KeyboardInterrupt
        module_write(path, data)

    module_write = module.write_whole
    monkeypatch.setattr(module, 'write_whole', interrupt)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / 'set')
    monkeypatch.undo()
    left_over = tmp_path / 'set' / 'train' / 'image' / '.000002.jpg.99.tmp'
    left_over.write_bytes(b'half')  # as a killed process leaves it
    first = tmp_path / 'set' / 'train' / 'image' / '000001.jpg'
    before = first.stat().st_mtime_ns
    assert make(tmp_path / 'set') == 7
    assert first.stat().st_mtime_ns == before
    assert contents(tmp_path / 'set') == contents(tmp_path / 'whole')


def test_a_lost_file_is_drawn_again(tmp_path):
    make(tmp_path)
    before = contents(tmp_path)
    (tmp_path / 'validation' / 'annos' / '000002.json').unlink()
    assert make(tmp_path) == 1
    assert contents(tmp_path) == before


def test_other_arguments_are_refused_unless_overwritten(tmp_path):
    make(tmp_path)
    convert(tmp_path, 'train', progress=False)
    (tmp_path / 'notes.txt').write_text('mine')
    other = SyntheticSpec(**{**SPEC.__dict__, 'seed': 4, 'num_train': 2})
    before = contents(tmp_path)
    with pytest.raises(ConverterError, match=r'\(num_train 5, seed 3\); replace it') as caught:
        make(tmp_path, other)
    assert '\n' not in str(caught.value) and contents(tmp_path) == before
    assert make(tmp_path, other, overwrite=True) == 5
    assert len(list(tmp_path.glob('train/image/*.jpg'))) == 2
    assert not (tmp_path / 'annotations' / 'train.json').exists()  # it belonged to the old set
    assert (tmp_path / 'notes.txt').exists()


@pytest.mark.parametrize('overwrite', [False, True])
def test_files_of_other_origin_are_never_replaced(tmp_path, overwrite):
    (tmp_path / 'train' / 'image').mkdir(parents=True)
    (tmp_path / 'train' / 'image' / '000001.jpg').write_bytes(b'a real photo')
    before = contents(tmp_path)
    with pytest.raises(ConverterError, match='did not write; name another folder'):
        make(tmp_path, overwrite=overwrite)
    assert contents(tmp_path) == before


def test_broken_manifest_is_refused(tmp_path):
    make(tmp_path)
    (tmp_path / 'synthetic.json').write_text('{')
    with pytest.raises(ConverterError, match='other arguments'):
        make(tmp_path)


def test_output_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(ConverterError, match='name another folder') as caught:
        make(tmp_path / 'file')
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'wrong',
    [
        {'num_train': -1},
        {'num_val': -1},
        {'width': 63},
        {'height': 0},
        {'seed': -1},
        {'difficulty': 'impossible'},
    ],
)
def test_arguments_out_of_range(wrong):
    with pytest.raises(ConverterError, match=str(next(iter(wrong.values())))):
        SyntheticSpec(**wrong)


def test_round_trip_through_the_converter(tmp_path):
    make(tmp_path, SyntheticSpec(num_train=30, num_val=0, width=64, height=80, difficulty='hard'))
    summary = convert(tmp_path, 'train', progress=False)
    assert not summary.problems.counts
    coco = json.loads(summary.out_file.read_bytes())
    assert [(i['id'], i['width'], i['height']) for i in coco['images']] == [
        (n, 64, 80) for n in range(1, 31)
    ]
    converted = [(a['image_id'], a['category_id'], *a['bbox']) for a in coco['annotations']]
    drawn = []
    for number in range(1, 31):
        path = tmp_path / 'train' / 'annos' / f'{number:06d}.json'
        for key, item in json.loads(path.read_bytes()).items():
            if key.startswith('item'):
                x1, y1, x2, y2 = item['bounding_box']
                drawn.append((number, item['category_id'], x1, y1, x2 - x1, y2 - y1))
    assert converted == drawn
    assert {a['category_id'] for a in coco['annotations']} == set(range(1, 14))
