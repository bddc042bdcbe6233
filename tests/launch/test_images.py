"""The images that files, folders and patterns name together."""

from __future__ import annotations

import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmdet_multigrain.launch import find_images
from mmdet_multigrain.utils.errors import ConfigError


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Images in two folders, other files, and a folder that an earlier call has written."""
    monkeypatch.chdir(tmp_path)
    for name in ('a/1.jpg', 'a/deep/2.png', 'b/1.jpg', 'b/note.txt', 'a/.hidden', 'out/3.jpg'):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    return tmp_path


def found(*sources):
    images = find_images(sources, leave_out=Path('out'))
    return images.root, [str(name) for name in images.names], images.left_out


def test_one_source_keeps_its_folder(photos):
    assert found('a') == (Path('a'), ['1.jpg', 'deep/2.png'], {'.hidden': 'hidden'})
    assert found('a/1.jpg') == (Path('a'), ['1.jpg'], {})
    assert found('b/*.jpg') == (Path('b'), ['1.jpg'], {})


@pytest.mark.parametrize(
    ('sources', 'root', 'names'),
    [
        (['a/1.jpg', 'b/1.jpg'], '', ['a/1.jpg', 'b/1.jpg']),
        (['b/1.jpg', 'a'], '', ['a/1.jpg', 'a/deep/2.png', 'b/1.jpg']),
        (['*/1.jpg'], '', ['a/1.jpg', 'b/1.jpg']),
        (['a/**/*.*g'], 'a', ['1.jpg', 'deep/2.png']),
        (['a/1.jpg', 'a/deep/2.png', './a/1.jpg', 'a'], 'a', ['1.jpg', 'deep/2.png']),
        (['a', 'a/deep'], 'a', ['1.jpg', 'deep/2.png']),
    ],
)
def test_several_sources_are_named_from_what_they_have_in_common(photos, sources, root, names):
    assert found(*sources)[:2] == (photos / root, names)


def test_other_files_are_told_with_their_folder(photos):
    assert found('a', 'b')[2] == {'a/.hidden': 'hidden', 'b/note.txt': 'not an image'}


def test_what_was_written_before_is_left_out_unless_it_is_named(photos):
    assert found('.')[1] == ['a/1.jpg', 'a/deep/2.png', 'b/1.jpg']
    assert found('out')[1] == ['3.jpg']


def test_a_name_with_the_letters_of_a_pattern(photos):
    Path('a/[1].jpg').touch()
    assert found('a/[1].jpg')[1] == ['[1].jpg']


@pytest.mark.parametrize('source', ['a/9.jpg', 'c', '*.jpg', 'a/**/*.bmp'])
def test_nothing_there(photos, source):
    with pytest.raises(ConfigError) as caught:
        found('b', source)
    assert str(caught.value).startswith(f'{source}: no such image or folder')


def test_the_advice_for_a_video_works(photos):
    clip = Path('b/my clip.mp4')
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter_fourcc(*'mp4v'), 5, (64, 48))
    for gray in range(3):
        writer.write(np.full((48, 64, 3), 80 * gray, np.uint8))
    writer.release()
    assert found('b')[2] == {'my clip.mp4': 'a video', 'note.txt': 'not an image'}
    with pytest.raises(ConfigError, match='^b/my clip.mp4: a video; write its frames') as caught:
        found('a', str(clip))
    *_, python, option, code = shlex.split(str(caught.value))
    assert (python, option) == ('python', '-c')
    exec(code)
    assert len(found('b/my clip_frames')[1]) == 3


def test_links_and_folders_are_searched_once(photos):
    Path('a/deep/up').symlink_to(photos / 'a', target_is_directory=True)
    Path('other').symlink_to(photos / 'a', target_is_directory=True)
    assert found('a')[1] == ['1.jpg', 'deep/2.png']
    assert found('other')[1] == ['1.jpg', 'deep/2.png']
    Path('a/.secret').mkdir()
    Path('a/.secret/9.jpg').touch()
    assert found('a') == (
        Path('a'),
        ['1.jpg', 'deep/2.png'],
        {'.hidden': 'hidden', '.secret': 'hidden'},
    )


def test_a_folder_without_an_image_is_named(photos):
    Path('empty').mkdir()
    Path('empty/note.txt').touch()
    with pytest.raises(ConfigError, match='^empty: no image in this folder that OpenCV reads$'):
        found('a', 'empty')
