"""Pictures of tested images: one each, whatever folders and suffixes the images have."""

import os
from pathlib import PurePath
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from mmdet.engine.hooks import DetVisualizationHook
from mmdet.structures import DetDataSample
from mmdet.visualization import DetLocalVisualizer
from mmengine.structures import InstanceData
from mmengine.visualization import Visualizer

from mmdet_multigrain.engine.hooks import PictureHook
from mmdet_multigrain.utils.images import PictureNames


@pytest.fixture
def draw(tmp_path):
    """Write images, test on them in order; returns the names of the pictures."""

    def run(names, folders=('photos',), **options):
        visualizer = DetLocalVisualizer.get_instance(f'pictures of {tmp_path}')
        visualizer.dataset_meta = dict(classes=('shirt',), palette=[(0, 0, 255)])
        Visualizer.get_instance(f'of another run, {tmp_path}')
        hook = PictureHook(draw=True, test_out_dir=str(tmp_path / 'out'), **options)
        parts = [SimpleNamespace(data_prefix=dict(img=str(tmp_path / name))) for name in folders]
        runner = SimpleNamespace(
            visualizer=visualizer,
            work_dir=str(tmp_path),
            timestamp='now',
            test_dataloader=SimpleNamespace(dataset=SimpleNamespace(datasets=parts)),
        )
        hook.before_test(runner)
        for number, name in enumerate(names):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            content = cv2.imencode('.png', np.full((20, 30, 3), number, np.uint8))[1]
            path.write_bytes(content.tobytes())
            sample = DetDataSample(metainfo=dict(img_path=str(path)))
            sample.pred_instances = InstanceData(
                bboxes=np.zeros((0, 4)), labels=np.zeros(0, int), scores=np.zeros(0)
            )
            hook.after_test_iter(runner, number, {}, [sample])
        out = tmp_path / 'out'
        return {
            path.relative_to(out).as_posix(): int(cv2.imread(str(path)).max())
            for path in out.rglob('*.*')
        }

    return run


def test_equal_names_in_folders(draw):
    names = ['a/1.png', 'b/1.png', '1.png', 'a/b/1.png']
    assert draw([f'photos/{name}' for name in names]) == {
        name: number for number, name in enumerate(names)
    }


def test_data_sets_with_folders_of_their_own(draw):
    pictures = draw(['one/1.png', 'two/1.png'], folders=('one', 'two'))
    assert pictures == {'one/1.png': 0, 'two/1.png': 1}


def test_images_outside_the_folder_get_numbers(draw):
    pictures = draw(['x/1.png', 'y/1.png', 'y/1.png'])
    assert pictures == {'1.png': 0, '1_2.png': 2}


def test_suffixes_that_are_not_written(draw):
    names = ['1.tif', '1.jfif', '1.gif', '1', '1.tif.png']
    assert draw([f'photos/{name}' for name in names]) == {
        '1.tif.png': 0,
        '1.jfif.png': 1,
        '1.gif.png': 2,
        '1.png': 3,
        '1.tif_2.png': 4,
    }


def test_images_of_a_server_keep_their_folders():
    hook = PictureHook(draw=True)
    hook._root = '/photos'
    hook._names = PictureNames()
    for path, expected in (
        ('s3://bucket/a/1.jpg', 'bucket/a/1.jpg'),
        ('/photos/a/1.jpg', 'a/1.jpg'),
        ('/photos/1.jpg', '1.jpg'),
        ('/other/a/1.jpg', '1_2.jpg'),  # the name is taken
    ):
        assert PurePath(hook._picture(path)).as_posix() == expected


@pytest.mark.parametrize(
    'options', [dict(draw=False), dict(draw=True), dict(draw=True, show=True, test_out_dir='out')]
)
def test_what_writes_no_picture_is_left_to_mmdetection(monkeypatch, options):
    calls = []
    monkeypatch.setattr(
        DetVisualizationHook, 'after_test_iter', lambda self, *arguments: calls.append(arguments)
    )
    hook = PictureHook(**options)
    hook.after_test_iter('runner', 3, {}, [])
    assert calls == [('runner', 3, {}, [])]


def test_a_shown_picture_uses_the_hooks_own_visualizer(tmp_path):
    theirs, own = SimpleNamespace(dataset_meta={}), SimpleNamespace(dataset_meta=None)
    runner = SimpleNamespace(
        visualizer=theirs,
        test_dataloader=SimpleNamespace(dataset=SimpleNamespace()),
    )
    for show in (False, True):
        hook = PictureHook(draw=True, show=show)
        hook._visualizer = own
        hook.before_test(runner)
        assert hook._visualizer is (own if show else theirs)
        assert hook._root == os.getcwd()  # no data set tells a folder
