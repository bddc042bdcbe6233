"""The benchmark of the loader on few photos: what it prepares, compares, prints and writes."""

import json

import cv2
import numpy as np
import pytest

from benchmarks.speed.loading import photos, pipelines
from mmdet_multigrain.utils.images import image_size
from tests.benchmarks.conftest import start


def run(*arguments):
    return start('speed.loader', *arguments)


def test_tables_and_file(tmp_path):
    out = tmp_path / 'speed.json'
    options = (
        '--images 3 --source-edge 300 --short-edge 100 200 --workers 0 1 --rounds 2 --batches 1'
    )
    done = run(*options.split(), '--out', out)
    assert done.status == 0, done.err
    report = json.loads(out.read_text())
    assert report['photos']['number'] == 3 and report['photos']['short_edge'] == 300
    assert [result['short_edge'] for result in report['results']] == [100, 200]
    small, large = report['results']
    for result in (small, large):
        assert [run['workers'] for run in result['speed']] == [0, 1]
        for one in result['speed']:
            assert list(one['seconds_per_image']) == ['stock', 'exact', 'fast']
            assert all(
                len(values) == 2 and min(values) > 0 for values in one['seconds_per_image'].values()
            )
        assert set(result['milliseconds']['stock']) >= {'LoadImageFromFile', 'PackDetInputs'}
        assert set(result['milliseconds']['fast']) >= {'LoadResized', 'PlanarPackDetInputs'}
        assert result['equality']['samples'] == 3 and result['equality']['nearer'] == 3
        assert result['equality']['psnr']['exact'] == [None] * 3
        assert all(20 < value < 60 for value in result['equality']['psnr']['pillow'])
    assert all(25 < value < 60 for value in small['equality']['psnr']['fast'])
    assert large['equality']['psnr']['fast'] == [None] * 3  # too small to be decoded reduced
    assert '100 px: boxes, labels, shapes and factors of 3 samples are equal' in done.out
    assert 'bar: 1.3 x stock' in done.out


def test_enlarged_photos(tmp_path):
    (tmp_path / 'small').mkdir()
    for name in ('a', 'b', 'c'):
        cv2.imwrite(str(tmp_path / 'small' / f'{name}.png'), 255 * np.ones((60, 40, 3)))
    annotations = tmp_path / 'small.json'
    annotations.write_text(
        json.dumps(
            {
                'images': [
                    {'id': 10 + n, 'file_name': f'{name}.png'} for n, name in enumerate('abc')
                ],
                'annotations': [
                    {'id': 1, 'image_id': 11, 'category_id': 5, 'bbox': [1, 2, 10, 20]}
                ],
                'categories': [{'id': 5, 'name': 'shirt'}],
            }
        )
    )
    data = photos.enlarge(tmp_path / 'small', annotations, tmp_path, count=9, edge=100)
    content = json.loads(data.annotations.read_text())
    assert [image['file_name'] for image in content['images']] == ['000001.jpg']  # b has the box
    assert content['annotations'][0]['bbox'] == [2.5, 5, 25, 50]
    assert image_size(data.images / '000001.jpg') == (100, 150)
    assert data.classes == ('shirt',) and data.description['boxes'] == 1
    (tmp_path / 'small' / 'b.png').write_bytes(b'no image')
    (tmp_path / 'again').mkdir()
    with pytest.raises(ValueError, match='b.png: not a readable image'):
        photos.enlarge(tmp_path / 'small', annotations, tmp_path / 'again', count=9, edge=100)


def test_a_difference_stops_it(tmp_path, monkeypatch):
    data = photos.draw(tmp_path, count=2, edge=120)
    datasets = {name: pipelines.dataset(name, data, 40) for name in pipelines.NAMES}
    assert pipelines.compare(data, 40, datasets)['samples'] == 2
    datasets['fast'] = pipelines.dataset('fast', data, 41)
    with pytest.raises(ValueError, match='fast, image 0: shape differs from stock'):
        pipelines.compare(data, 40, datasets)
    datasets['fast'], datasets['exact'] = datasets['exact'], pipelines.dataset('fast', data, 40)
    with pytest.raises(ValueError, match='exact: an image differs from stock'):
        pipelines.compare(data, 40, datasets)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('--images', 0), "--images: '0' is not a whole number from 1 on"),
        (('--workers', -1), "'-1' is not a whole number from 0 on"),
        (('--short-edge', 0), "'0' is not a whole number from 1 on"),
        (('--photos', 'here'), '--photos and --annotations belong together'),
        (('--photos', 'here', '--annotations', 'none.json'), 'none.json'),
    ],
)
def test_bad_arguments(arguments, message):
    done = run(*arguments)
    assert done.status == 2 and message in done.err and 'Traceback' not in done.err
