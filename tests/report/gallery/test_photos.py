"""Reading the photos of a gallery: which folder, unreadable ones, blurred faces."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from PIL import Image

from mmdet_multigrain.report.gallery import photos as module
from mmdet_multigrain.report.gallery.photos import Photos, find_photos
from mmdet_multigrain.utils.errors import ReportError


@pytest.fixture
def folder(tmp_path):
    Image.new('RGB', (30, 20), 'red').save(tmp_path / 'a.png')
    (tmp_path / 'b.png').write_text('text')
    return tmp_path


def test_none_of_the_photos(folder):
    photos = Photos(folder)
    photos.check([])
    photos.check(['none.png', 'a.png'])
    with pytest.raises(ReportError) as caught:
        photos.check(['z.png', 'y.png', 'z.png'])
    assert str(caught.value) == (
        f'{folder}: none of the 2 photos to show is there (first: y.png); name their folder (--images)'
    )


def test_unreadable_photos_are_counted_once(folder):
    photos = Photos(folder)
    assert photos.read('a.png').size == (30, 20)
    assert photos.read('b.png') is photos.read('b.png') is photos.read('none.png') is None
    assert photos.problems.counts == {'photo left out': 2}
    assert photos.problems.examples['photo left out'] == [
        f'{folder}/b.png: not a readable photo',
        f'{folder}/none.png: no such photo',
    ]
    assert photos.blur is False and photos.faces == {}


def test_faces_are_looked_for_once_and_blurred_each_time(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(module, 'find_faces', lambda photo: asked.append(photo.size) or ['face'])
    monkeypatch.setattr(module, 'blur', lambda photo, faces: (photo.size, faces))
    photos = Photos(folder, blur=True)
    for _ in range(2):
        assert photos.read('a.png') == ((30, 20), ['face'])
    assert asked == [(30, 20)] and photos.faces == {'a.png': ['face']}


def run(image_folder):
    record = SimpleNamespace(image_folder=image_folder)
    return SimpleNamespace(source='result.json', result=SimpleNamespace(run=record))


def test_the_folder_of_the_photos(folder, tmp_path):
    other = tmp_path / 'other'
    other.mkdir()
    runs = [run(None), run(str(folder)), run(str(other))]
    assert find_photos(runs) == folder and find_photos(iter(runs), other) == other
    with pytest.raises(ReportError, match='^result.json: does not say where the photos are'):
        find_photos([run(None)])
    with pytest.raises(ReportError, match='nowhere: no such folder of photos; name it'):
        find_photos([run('nowhere'), run(str(folder))])
