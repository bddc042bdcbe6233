"""tools/predict.py: the JSON file, the pictures, images that cannot be read, wrong input."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.apis import inference_detector, init_detector
from PIL import Image

from mmdet_multigrain.apis import drawing
from mmdet_multigrain.datasets import taxonomy_metainfo
from mmdet_multigrain.launch import add_cfg_options, load_config, quiet_imports
from mmdet_multigrain.taxonomy import Taxonomy

from ..conftest import READS_GIF
from ..export.conftest import build
from .conftest import SMALL, call, options

MODEL = [option for option in SMALL if option.startswith('model.')]


def predict(images, config, checkpoint, out, *arguments):
    return call('predict', images, config, checkpoint, '--out', out, *arguments)


@pytest.fixture
def folder(garment_data, tmp_path) -> Path:
    """Three images of one name, two that cannot be read, files that are no images."""
    source = sorted((garment_data / 'validation' / 'image').iterdir())
    folder = tmp_path / 'photos'
    for image, name in zip(source, ('a.jpg', 'one/a.jpg', 'two/a.JPEG'), strict=False):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(image, folder / name)
    (folder / 'broken.png').write_bytes(b'x' * 99)
    (folder / 'one' / 'empty.webp').touch()
    (folder / 'notes.txt').touch()
    (folder / '._a.jpg').touch()
    return folder


def test_a_folder_with_images_that_cannot_be_read(folder, config, trained, tmp_path):
    out = tmp_path / 'out'
    result = predict(
        folder,
        config,
        trained.checkpoint,
        out,
        '--score-thr',
        0,
        '--batch-size',
        2,
        '--cfg-options',
        *MODEL,
    )
    assert result.status == 1 and 'Traceback' not in result.err
    assert f'{folder}/broken.png: not a readable image; left out' in result.err
    assert result.err.splitlines()[-1] == (
        'error: 2 of 5 images could not be read: broken.png, one/empty.webp'
    )
    assert '5/5' in result.err  # the progress bar
    content = json.loads((out / 'predictions.json').read_bytes())
    names = ['a.jpg', 'one/a.jpg', 'two/a.JPEG']
    assert [image['file_name'] for image in content['images']] == names
    assert content['unreadable'] == ['broken.png', 'one/empty.webp']
    assert content['left_out'] == {
        '._a.jpg': 'hidden',
        'notes.txt': 'not an image',
        'broken.png': 'not a readable image',
        'one/empty.webp': 'not a readable image',
    }
    assert 'left out: 1 hidden, 1 not an image' in result.out
    assert all((image['width'], image['height']) == (64, 80) for image in content['images'])
    assert all(image['detections'] for image in content['images'])
    pictures = out / 'pictures'
    assert sorted(str(p.relative_to(pictures)) for p in pictures.rglob('*.*')) == names
    # Enlarged six times, so that labels can be read.
    assert all(cv2.imread(str(pictures / name)).shape == (480, 384, 3) for name in names)


def test_files_that_training_would_read(config, trained, tmp_path):
    folder = tmp_path / 'photos'
    folder.mkdir()
    image = Image.fromarray(np.full((60, 50, 3), 99, np.uint8))
    kinds = dict(
        webp='WEBP', bmp='BMP', tif='TIFF', TIFF='TIFF', gif='GIF', jfif='JPEG', jpe='JPEG'
    )
    if not READS_GIF:
        del kinds['gif']
    for suffix, kind in kinds.items():
        image.save(folder / f'a.{suffix}', kind)
    image.save(folder / 'a', 'PNG')
    image.save(folder / 'a.dat', 'JPEG')
    Image.new('F', (50, 60)).save(folder / 'float.tif')
    (folder / 'again').symlink_to(folder)
    linked = tmp_path / 'elsewhere'
    linked.mkdir()
    image.save(linked / 'a.png')
    (folder / 'linked').symlink_to(linked)
    out = tmp_path / 'out'
    names = sorted([*(f'a.{suffix}' for suffix in kinds), 'a', 'a.dat', 'linked/a.png'])
    result = predict(folder, config, trained.checkpoint, out, '--cfg-options', *MODEL)
    assert result.status == 1 and f'{len(names)} images' in result.out
    content = json.loads((out / 'predictions.json').read_bytes())
    assert sorted(image['file_name'] for image in content['images']) == names
    assert content['left_out'].keys() == {'float.tif'} == {*content['unreadable']}
    assert 'floating-point pixels' in content['left_out']['float.tif']
    assert sum(path.is_file() for path in (out / 'pictures').rglob('*')) == len(names)


def test_detections_are_those_of_mmdetection(garment_data, config, trained, tmp_path):
    image = garment_data / 'validation' / 'image' / '000002.jpg'
    result = predict(
        image,
        config,
        trained.checkpoint,
        tmp_path,
        '--score-thr',
        0,
        '--no-pictures',
        '--cfg-options',
        *MODEL,
    )
    assert result.status == 0 and 'error' not in result.err
    assert not (tmp_path / 'pictures').exists()
    (found,) = json.loads((tmp_path / 'predictions.json').read_bytes())['images']
    assert found['file_name'] == '000002.jpg'

    parser = argparse.ArgumentParser()
    add_cfg_options(parser)
    cfg = load_config(config, parser.parse_args(['--cfg-options', *MODEL]).cfg_options)
    with quiet_imports():
        model = init_detector(cfg, str(trained.checkpoint), device='cpu')
    expected = inference_detector(model, str(image)).pred_instances
    taxonomy = Taxonomy.load('deepfashion2')
    assert len(found['detections']) == len(expected) > 0
    for row, label, score, box in zip(
        found['detections'],
        expected.labels.tolist(),
        expected.scores.tolist(),
        expected.bboxes.tolist(),
        strict=True,
    ):
        x1, y1, x2, y2 = box
        assert row['class'] == taxonomy.classes[label]
        assert row['superclass'] == taxonomy.superclass_of(label)
        assert row['score'] == pytest.approx(score, abs=1e-4)
        assert row['box'] == pytest.approx([x1, y1, x2 - x1, y2 - y1], abs=0.02)


def test_scores_below_the_threshold_are_left_out(garment_data, config, trained, tmp_path):
    image = garment_data / 'validation' / 'image' / '000002.jpg'
    result = predict(
        image, config, trained.checkpoint, tmp_path, '--score-thr', 0.99, '--cfg-options', *MODEL
    )
    assert result.status == 0 and '1 images, 0 detections' in result.out
    best = float(re.search('no box scores 0.99 or more; the best has (.*) ', result.out)[1])
    assert 0 < best < 0.99
    assert (tmp_path / 'pictures' / '000002.jpg').is_file()


@pytest.fixture
def untrained(config, tmp_path) -> Path:
    """A checkpoint of random weights, which takes less time than a trained one."""
    parser = argparse.ArgumentParser()
    add_cfg_options(parser)
    cfg = load_config(config, parser.parse_args(['--cfg-options', *MODEL]).cfg_options)
    meta = {'dataset_meta': taxonomy_metainfo(Taxonomy.load('deepfashion2'))}
    path = tmp_path / 'untrained.pth'
    torch.save({'meta': meta, 'state_dict': build(cfg.model).state_dict()}, path)
    return path


def test_images_without_any_detection(config, untrained, tmp_path):
    Image.new('RGB', (50, 60)).save(tmp_path / 'a.png')
    none = 'model.test_cfg.rcnn.score_thr=1'
    result = predict(
        tmp_path / 'a.png', config, untrained, tmp_path / 'out', '--cfg-options', *MODEL, none
    )
    assert result.status == 0, result.err
    assert 'no box scores 0.3 or more; the detector gives none' in result.out


def test_no_image_is_replaced_or_removed(config, untrained, tmp_path):
    images = [tmp_path / name for name in ('pictures/b/a.png', 'b/a.png', 'c.png')]
    for image in images:
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (50, 60)).save(image)
    more = (config, untrained, '--out', tmp_path, '--force')
    line = call('predict', *images[:2], *more).error()
    assert 'pictures would replace the images' in line
    # A picture that an earlier call wrote is now an image.
    earlier = {'source': '', 'config': '', 'checkpoint': ''}
    earlier['images'] = [{'picture': 'pictures/b/a.png'}, {'picture': 'pictures/old.png'}]
    (tmp_path / 'predictions.json').write_text(json.dumps(earlier))
    (tmp_path / 'pictures' / 'old.png').touch()
    model = ('--no-pictures', '--cfg-options', *MODEL)
    assert call('predict', images[0], images[2], *more, *model).status == 0
    assert images[0].is_file() and not (tmp_path / 'pictures' / 'old.png').exists()


def test_several_files_and_patterns(folder, config, trained, tmp_path):
    out = tmp_path / 'out'
    files = [folder / 'a.jpg', folder / '*' / 'a.*']
    names = ['a.jpg', 'one/a.jpg', 'two/a.JPEG']
    for more in ((), ('--no-pictures',)):  # again, as it is the same call
        result = call(
            'predict', *files, '--out', out, *more, config, trained.checkpoint,
            '--cfg-options', *MODEL,
        )  # fmt: skip
        assert result.status == 0, result.err
        content = json.loads((out / 'predictions.json').read_bytes())
        assert [image['file_name'] for image in content['images']] == names
    assert content['source'] == [*map(str, files)]
    line = call('predict', files[0], config, trained.checkpoint, '--out', out).error()
    assert 'predictions.json: already exists, from another command' in line


def test_the_config_that_a_run_wrote_needs_no_data(garment_data, config, tmp_path):
    custom = config.with_name('wgroup_r18_fpn_custom.py')
    data = tmp_path / 'data'
    shutil.copytree(garment_data, data)
    own = [
        'train_ann=annotations/train.json',
        'val_ann=annotations/validation.json',
        'images=train/image',
        'train_cfg.max_iters=1',
        'train_cfg.val_interval=9',
    ]
    work_dir = tmp_path / 'run'
    assert call('train', custom, '--work-dir', work_dir, *options(data, *own)).status == 0
    image = shutil.copy(data / 'train' / 'image' / '000001.jpg', tmp_path)
    shutil.rmtree(data)
    checkpoint = work_dir / 'iter_1.pth'

    for name, path in (('dumped', work_dir / custom.name), ('source', custom)):
        model = ('--cfg-options', *MODEL) if name == 'source' else ()
        result = predict(image, path, checkpoint, tmp_path / name, *model)
        assert result.status == 0, result.err
    found = [(tmp_path / name / 'predictions.json').read_text() for name in ('dumped', 'source')]
    images = [json.loads(text)['images'] for text in found]
    assert images[0] == images[1]


def test_an_earlier_call_is_not_predicted_on(garment_data, config, trained, tmp_path):
    folder = tmp_path / 'photos'
    folder.mkdir()
    shutil.copy(garment_data / 'validation' / 'image' / '000001.jpg', folder)
    for _ in range(2):
        result = predict(folder, config, trained.checkpoint, folder, '--cfg-options', *MODEL)
        assert result.status == 0 and '1 images' in result.out
    line = predict(folder / 'pictures', config, trained.checkpoint, folder).error()
    assert 'pictures would replace the images' in line


def test_a_later_call_leaves_nothing_of_an_earlier_one(folder, config, trained, tmp_path):
    out = tmp_path / 'out'
    arguments = (config, trained.checkpoint, out, '--cfg-options', *MODEL)
    assert predict(folder, *arguments).status == 1
    (out / 'pictures' / 'mine.txt').touch()
    (folder / 'a.jpg').unlink()
    assert predict(folder, *arguments).status == 1
    pictures = out / 'pictures'
    names = ['mine.txt', 'one/a.jpg', 'two/a.JPEG']
    assert sorted(str(p.relative_to(pictures)) for p in pictures.rglob('*.*')) == names

    before = {path: path.read_bytes() for path in out.rglob('*') if path.is_file()}
    line = predict(folder / 'two', *arguments).error()
    assert 'predictions.json: already exists, from another command' in line
    assert predict(folder / 'broken.png', *arguments, '--force').status == 1
    assert before == {path: path.read_bytes() for path in out.rglob('*') if path.is_file()}
    assert predict(folder / 'two', *arguments, '--force').status == 0
    assert sorted(str(p.relative_to(pictures)) for p in pictures.rglob('*.*')) == [
        'a.JPEG',
        'mine.txt',
    ]


def test_files_of_other_programs_stay(folder, config, trained, tmp_path):
    out = tmp_path / 'out'
    for name in ('pictures/a.jpg', 'predictions.json'):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text('{"images": []}')
        line = predict(folder, config, trained.checkpoint, out).error()
        assert f'{name}: already exists, from another command' in line
        assert (out / name).read_text() == '{"images": []}'
        (out / name).unlink()


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_call_writes_what_it_has(
    folder, config, trained, tmp_path, monkeypatch, number
):
    def draw(*arguments):
        os.kill(os.getpid(), number)
        return original(*arguments)

    original = drawing.draw
    monkeypatch.setattr(drawing, 'draw', draw)
    result = predict(folder, config, trained.checkpoint, tmp_path / 'out', '--cfg-options', *MODEL)
    assert result.status == 128 + number
    assert result.err.splitlines()[-1] == 'interrupted; 4 of 5 images not reached'
    content = json.loads((tmp_path / 'out' / 'predictions.json').read_bytes())
    assert [image['file_name'] for image in content['images']] == ['a.jpg']
    assert content['left_out']['two/a.JPEG'] == 'not reached'


def test_what_a_checkpoint_was_trained_as(garment_data, config, trained, tmp_path):
    image = next((garment_data / 'validation' / 'image').iterdir())
    without_groups = config.with_name(config.name.replace('wgroup', 'wogroup'))
    line = predict(
        image, without_groups, trained.checkpoint, tmp_path, '--cfg-options', *MODEL
    ).error()
    assert 'cannot predict with this config: roi_head.bbox_head.grouped is True in the' in line
    checkpoint = torch.load(trained.checkpoint, weights_only=False)
    del checkpoint['meta']['trained_as']
    torch.save(checkpoint, tmp_path / 'old.pth')
    result = predict(image, without_groups, tmp_path / 'old.pth', tmp_path, '--cfg-options', *MODEL)
    assert result.status == 0
    assert (result.out + result.err).count('old.pth: does not say how it was trained') == 1


def test_wrong_input_is_answered_in_one_line(garment_data, config, trained, tmp_path):
    image = garment_data / 'validation' / 'image' / '000001.jpg'
    out = tmp_path / 'out'
    (tmp_path / 'nothing').mkdir()
    wrong_classes = 'model.roi_head.bbox_head.taxonomy=openimages_v4_clothing'
    for images, checkpoint, arguments, expected in (
        (tmp_path / 'none', trained.checkpoint, (), 'none: no such image or folder'),
        (tmp_path / 'nothing', trained.checkpoint, (), 'nothing: no image in this folder'),
        (image, tmp_path / 'none.pth', (), 'none.pth: no such checkpoint'),
        (image, image, (), '000001.jpg: not a whole checkpoint'),
        (image, trained.checkpoint, ('--device', 'nonsense'), "device 'nonsense' cannot be used"),
        (
            image,
            trained.checkpoint,
            ('--cfg-options', *MODEL, wrong_classes),
            r'cannot predict with this config: .*\(trained on 13 classes',
        ),
    ):
        line = predict(images, config, checkpoint, out, *arguments).error()
        assert re.search(expected, line)
    for score in ('1.1', '-0.1', '30', 'nan', 'x'):
        result = predict(image, config, trained.checkpoint, out, f'--score-thr={score}')
        assert result.status == 2 and 'is not a score from 0 to 1' in result.err
    assert not out.exists()
