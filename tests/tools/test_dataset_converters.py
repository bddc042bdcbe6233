"""The command lines of the dataset converters: output, messages, exit status."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SMALL = ('--num-train', '14', '--num-val', '3', '--image-size', '64x80')


def run(tool, *arguments):
    return subprocess.run(
        [sys.executable, str(ROOT / 'tools' / 'dataset_converters' / f'{tool}.py'),
         *map(str, arguments)],
        env={**os.environ, 'PYTHONPATH': str(ROOT)}, capture_output=True, text=True)


def fails(tool, *arguments, status=2):
    """The one line of an error."""
    result = run(tool, *arguments)
    assert result.returncode == status and 'Traceback' not in result.stderr
    line = result.stderr.strip().splitlines()[-1]
    assert 'error: ' in line
    return line


@pytest.fixture(scope='module')
def drawn(tmp_path_factory):
    out = tmp_path_factory.mktemp('data') / 'synthetic'
    result = run('make_synthetic_deepfashion2', out, *SMALL, '--workers', 2)
    assert result.returncode == 0 and '17 of 17 pictures written' in result.stdout
    return out


def test_second_call_says_that_the_set_is_complete(drawn):
    result = run('make_synthetic_deepfashion2', drawn, *SMALL)
    assert result.returncode == 0 and 'complete already' in result.stdout


def test_generator_refuses_other_arguments(drawn):
    line = fails('make_synthetic_deepfashion2', drawn, *SMALL, '--seed', 1)
    assert 'other arguments (seed 0)' in line


@pytest.mark.parametrize('arguments', [
    ('--image-size', 'large'), ('--image-size', '20'), ('--num-train', '-1'),
    ('--difficulty', 'none'), ('--seed', '-2')])
def test_generator_refuses_wrong_arguments(tmp_path, arguments):
    fails('make_synthetic_deepfashion2', tmp_path / 'new', *arguments)
    assert not (tmp_path / 'new').exists()


def test_image_size_may_be_a_height(tmp_path):
    run('make_synthetic_deepfashion2', tmp_path, '--num-train', 1, '--num-val', 0,
        '--image-size', 100)
    manifest = json.loads((tmp_path / 'synthetic.json').read_text())
    assert (manifest['width'], manifest['height']) == (80, 100)


def test_conversion_of_both_splits(drawn):
    result = run('deepfashion2', drawn)
    assert result.returncode == 0
    assert 'train: 14 images' in result.stdout and 'validation: 3 images' in result.stdout
    for split, count in (('train', 14), ('validation', 3)):
        coco = json.loads((drawn / 'annotations' / f'{split}.json').read_bytes())
        assert len(coco['images']) == count and len(coco['categories']) == 13


def test_conversion_options(drawn, tmp_path):
    result = run('deepfashion2', drawn, '--splits', 'validation', '--out-dir', tmp_path,
                 '--with-segmentation')
    assert result.returncode == 0
    assert os.listdir(tmp_path) == ['validation.json']
    coco = json.loads((tmp_path / 'validation.json').read_bytes())
    assert all(a['segmentation'] for a in coco['annotations'])


def test_conversion_of_a_missing_folder(tmp_path):
    line = fails('deepfashion2', tmp_path / 'nowhere')
    assert 'no such folder; DeepFashion2 is unpacked as ROOT/{train,validation}/image' in line


def test_a_missing_split_is_noticed_before_the_first_is_converted(tmp_path):
    run('make_synthetic_deepfashion2', tmp_path, *SMALL)
    for path in (tmp_path / 'validation' / 'annos').iterdir():
        path.unlink()
    (tmp_path / 'validation' / 'annos').rmdir()
    assert 'validation/annos: no such folder' in fails('deepfashion2', tmp_path)
    assert not (tmp_path / 'annotations').exists()
