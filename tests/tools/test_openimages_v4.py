"""tools/dataset_converters/openimages_v4.py: a release folder, single files, messages."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from mmdet_multigrain.taxonomy import Taxonomy

from .conftest import call

ROOT = Path(__file__).resolve().parents[2]
TOOL = str(ROOT / 'tools' / 'dataset_converters' / 'openimages_v4.py')
HEADER = (
    'ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,'
    'IsGroupOf,IsDepiction,IsInside\n'
)
SHIRT, UMBRELLA, CLOTHING = '/m/01n4qj', '/m/0hnnb', '/m/09j2d'


def run(*arguments):
    return call('dataset_converters/openimages_v4', *arguments)


def fails(*arguments):
    """The one line of an error."""
    result = run(*arguments)
    assert result.status == 2 and 'Traceback' not in result.err
    line = result.err.strip().splitlines()[-1]
    assert 'error: ' in line
    return line


def boxes(*label_names):
    return HEADER + ''.join(
        f'{number:03d},xclick,{name},1,0.1,0.5,0.2,0.6,0,0,{number % 2},0,-1\n'
        for number, name in enumerate(label_names)
    )


@pytest.fixture
def release(tmp_path):
    """A folder as it is downloaded: the box file of each split, descriptions, tree, images."""
    root = tmp_path / 'my release'
    clothing = Taxonomy.load('openimages_v4_clothing')
    leaves = [clothing.aliases[name][0] for name in clothing.classes]
    for split, names in (
        ('train', [SHIRT, UMBRELLA, CLOTHING, SHIRT, '/m/dog']),
        ('validation', [UMBRELLA]),
    ):
        (root / split).mkdir(parents=True)
        (root / f'{split}-annotations-bbox.csv').write_text(boxes(*names))
        for number in range(len(names)):
            Image.new('RGB', (40, 30)).save(root / split / f'{number:03d}.jpg')
    (root / 'class-descriptions-boxable.csv').write_text(
        ''.join(f'{leaf},{name}\n' for leaf, name in zip(leaves, clothing.classes, strict=True))
        + f'{CLOTHING},Clothing\n/m/dog,Dog\n'
    )
    (root / 'bbox_labels_600_hierarchy.json').write_text(
        json.dumps(
            {
                'LabelName': '/m/entity',
                'Subcategory': [
                    {'LabelName': '/m/dog'},
                    {
                        'LabelName': CLOTHING,
                        'Subcategory': [{'LabelName': leaf} for leaf in leaves],
                    },
                ],
            }
        )
    )
    return root


def read(path):
    return json.loads(path.read_bytes())


def test_a_release_folder(release):
    result = run(release)
    assert result.status == 0, result.err
    train, validation = (
        read(release / 'annotations' / f'{split}.json') for split in ('train', 'validation')
    )
    assert [a['bbox'] for a in train['annotations']] == [[4, 6, 16, 12]] * 3
    assert [a['iscrowd'] for a in train['annotations']] == [0, 1, 1]
    assert len(validation['annotations']) == 1
    assert [c['name'] for c in train['categories']] == list(
        Taxonomy.load('openimages_v4_clothing').classes
    )
    assert 'train: 3 images, 3 boxes' in result.out
    assert '1 x box of a superclass only: train-annotations-bbox.csv line 4 Clothing' in (
        result.out
    )
    assert 'boxes of all 40 classes: 3 in the CSV file, 490,777 in the paper: they differ by ' in (
        result.out
    )
    assert 'boxes of the 30 grouped classes: 2 in the CSV file, 306,374 in the paper' in (
        result.out
    )
    assert 'train-annotations-bbox.csv:' in result.err  # progress
    again = run(release)
    assert again.out.count('is up to date') == 2


def test_superclasses_and_what_images_annotate(release):
    for split in ('train', 'validation'):
        (release / f'{split}-annotations-human-imagelabels-boxable.csv').write_text(
            f'ImageID,Source,LabelName,Confidence\n000,verification,{UMBRELLA},0\n'
        )
    result = run(release, '--coarse', 'keep', '--image-labels')
    assert result.status == 0, result.err
    train = read(release / 'annotations' / 'train.json')
    assert train['categories'][-1]['name'] == 'object'
    assert [a['category_id'] for a in train['annotations']][2] == train['categories'][-1]['id']
    umbrella = Taxonomy.load('openimages_v4_clothing').label_of('Umbrella') + 1
    assert train['images'][0]['neg_category_ids'] == [umbrella]
    assert all(image['not_exhaustive_category_ids'] == [] for image in train['images'])
    assert '(superclass only)' in result.out and 'verified to be absent: 1, ' in result.out
    path = release / 'train-annotations-human-imagelabels-boxable.csv'
    assert 'one file for 2 splits' in fails(release, '--image-labels', path)
    path.unlink()
    assert 'no file train-annotations-human-imagelabels-boxable.csv in it' in fails(
        release, '--split', 'train', '--image-labels'
    )


def test_other_classes_and_places(release, tmp_path):
    out = tmp_path / 'new' / 'dogs.json'
    (tmp_path / 't.yaml').write_text('{groups: {animal: [Dog]}, ungrouped: [umbrella]}')
    (tmp_path / 's.csv').write_text('ImageID,Width,Height\n001,10,10\n004,10,10\n')
    result = run(
        release / 'train-annotations-bbox.csv',
        '--taxonomy',
        tmp_path / 't.yaml',
        '--image-sizes',
        tmp_path / 's.csv',
        '--out',
        out,
        '--group-of',
        'drop',
    )
    assert result.status == 0, result.err
    assert [a['category_id'] for a in read(out)['annotations']] == [1]
    assert 'paper' not in result.out
    result = run(release, '--node', 'clothing', '--split', 'validation', '--out', tmp_path / 'n')
    assert os.listdir(tmp_path / 'n') == ['validation.json']
    assert len(read(tmp_path / 'n' / 'validation.json')['categories']) == 40


def test_wrong_arguments_are_one_line(release, tmp_path):
    csv = release / 'train-annotations-bbox.csv'
    assert 'no such file or folder' in fails(tmp_path / 'x.csv')
    assert 'no file *-annotations-bbox.csv' in fails(tmp_path)
    assert 'name a folder for its splits' in fails(release, '--out', tmp_path / 'a.json')
    assert 'no box file of split test' in fails(release, '--split', 'test')
    assert "no node 'Clothes'" in fails(csv, '--node', 'Clothes')
    assert 'not allowed with argument' in fails(csv, '--images', release, '--image-sizes', csv)
    assert 'no column Width, Height' in fails(csv, '--image-sizes', csv)
    assert not (release / 'annotations').exists()


def test_images_are_looked_for_before_anything_is_read(release, tmp_path):
    csv = release / 'train-annotations-bbox.csv'
    csv.rename(tmp_path / csv.name)
    line = fails(tmp_path / csv.name)
    assert f'{tmp_path / "train"}: no such folder of images; name it (--images DIR)' in line
    assert run(tmp_path / csv.name, '--images', release).status == 0
    assert (tmp_path / 'annotations' / 'train.json').is_file()


@pytest.mark.parametrize(
    'function',
    ['openimages_rows._sieve', 'openimages_sizes.image_headers', 'openimages_writer._encode'],
)
def test_interrupt_is_one_line_and_leaves_nothing(release, function):
    code = f"""
import os, runpy, signal, sys, time
from mmdet_multigrain.converters import openimages_rows, openimages_sizes, openimages_writer
def interrupt(*_, **__):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.1)
{function} = interrupt
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""
    result = subprocess.run(
        [sys.executable, '-c', code, TOOL, str(release)],
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 130 and 'Traceback' not in result.stderr
    assert result.stderr.strip().splitlines()[-1] == (
        f'interrupted; {release / "annotations" / "train.json"} was not written'
    )
    assert not (release / 'annotations').exists()
