"""What is drawn of detections; of answers: test_answers.py."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from mmdet_multigrain.apis.detector import Prediction, describe
from mmdet_multigrain.apis.drawing import draw, save_picture
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.visualization.palette import class_palette

TAXONOMY = Taxonomy.load('deepfashion2')


def test_boxes_have_the_colors_of_their_classes(prediction, garments):
    picture = np.asarray(draw(prediction, garments))
    palette = class_palette(garments)
    assert picture.shape == (400, 800, 3)  # enlarged four times
    assert tuple(picture[260, 80]) == tuple(picture[360, 200]) == palette[1]
    assert tuple(picture[200, 641]) == palette[3]
    assert tuple(picture[200, 0]) == tuple(picture[399, 600]) == palette[0]
    assert tuple(picture[320, 480]) == (128, 128, 128)
    # The label of a box at the upper border stands inside the picture.
    assert (picture[:14, :40] == palette[0]).all(axis=-1).sum() > 100
    assert (prediction.image == 128).all()  # the image itself stays


def test_channels_keep_their_order(garments):
    blue = np.zeros((20, 20, 3), np.uint8)
    blue[..., 0] = 255  # blue comes first, as OpenCV has it
    nothing = Prediction(blue, np.zeros(0, int), np.zeros(0), np.zeros((0, 4)))
    assert draw(nothing, garments).getpixel((200, 200)) == (0, 0, 255)
    assert describe(nothing, garments)['detections'] == []


@pytest.mark.parametrize('name', ['a.jpg', 'b.JPEG', 'c.png', 'd.bmp', 'e.webp'])
def test_pictures_are_written_whole_in_the_format_of_their_name(tmp_path, name):
    path = tmp_path / 'new' / 'folder' / name
    save_picture(Image.new('RGB', (30, 20), 'red'), path)
    assert [item.name for item in path.parent.iterdir()] == [name]
    with Image.open(path) as picture:
        assert picture.size == (30, 20)
        assert picture.format.lower() in {'jpeg', path.suffix[1:].lower()}


def test_a_name_that_no_font_has_is_drawn_as_its_index(monkeypatch):
    taxonomy = Taxonomy.load(
        {'groups': {'top': ['\ue123', 'vest'], '\ue125': ['skirt'], 'x': ['y']}}
    )
    drawn = []
    monkeypatch.setattr(
        'mmdet_multigrain.apis.drawing.draw_marks',
        lambda picture, marks, **_: drawn.extend(mark.text for mark in marks),
    )
    boxes = np.tile([1, 2, 9, 9], (3, 1)).astype(float)
    draw(Prediction(np.zeros((20, 20, 3), np.uint8), np.arange(3), np.ones(3), boxes), taxonomy)
    assert drawn == ['class 0 (top) 1.00', 'vest (top) 1.00', 'skirt (group 1) 1.00']


def test_pictures_keep_most_of_their_quality(tmp_path):
    picture = draw(
        Prediction(np.full((20, 30, 3), 90, np.uint8), *[np.zeros(0, int)] * 2, np.zeros((0, 4))),
        TAXONOMY,
    )
    save_picture(picture, tmp_path / 'a.jpg')
    content = io.BytesIO()
    picture.save(content, format='JPEG', quality=92)
    assert (tmp_path / 'a.jpg').read_bytes() == content.getvalue()
    assert picture.size == (600, 400)


def test_large_pictures_are_not_enlarged():
    none = [np.zeros(0, int)] * 2, np.zeros((0, 4))
    for height, zoom in ((267, 1), (266, 2), (400, 1), (900, 1)):
        image = np.zeros((height, 999, 3), np.uint8)
        picture = draw(Prediction(image, *none[0], none[1]), TAXONOMY)
        assert picture.size == (999 * zoom, height * zoom)


def test_strips_stay_small_enough_to_be_written(tmp_path):
    none = [np.zeros(0, int)] * 2
    for width, zoom in ((4100, 1), (1900, 2)):
        image = np.zeros((10, width, 3), np.uint8)
        picture = draw(Prediction(image, *none, np.zeros((0, 4))), TAXONOMY)
        assert picture.size == (width * zoom, 10 * zoom)
        save_picture(picture, tmp_path / 'a.webp')
