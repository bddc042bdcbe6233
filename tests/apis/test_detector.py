"""What is said and drawn of a detection. The way through a model: tests/tools/test_predict.py."""

from __future__ import annotations

import numpy as np
import pytest
from mmengine.config import ConfigDict
from PIL import Image

from mmdet_multigrain.apis.detector import (
    Prediction,
    _with_main_tree,
    describe,
    draw,
    save_picture,
)
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.visualization.palette import class_palette


@pytest.fixture
def prediction() -> Prediction:
    """Three detections in a gray image of 200 x 100 pixels."""
    return Prediction(
        image=np.full((100, 200, 3), 128, np.uint8),
        labels=np.array([1, 3, 0]),
        scores=np.array([0.91, 0.5, 0.25], np.float32),
        boxes=np.array([[20, 40, 80, 90], [100.5, 30, 160.25, 70], [0, 0, 200, 100]], np.float32),
    )


def test_a_detection_in_words(prediction, garments):
    found = describe(prediction, garments)
    assert (found['width'], found['height']) == (200, 100)
    assert found['detections'] == [
        {'class': 'skirt', 'superclass': 'bottom', 'score': 0.91, 'box': [20, 40, 60, 50]},
        {'class': 'hat', 'superclass': 'hat', 'score': 0.5, 'box': [100.5, 30, 59.75, 40]},
        {'class': 'shirt', 'superclass': 'top', 'score': 0.25, 'box': [0, 0, 200, 100]},
    ]


def test_more_than_two_levels_give_all_groups(prediction, three_levels):
    labels = [three_levels.label_of(name) for name in ('hat', 'shirt', 'skirt')]
    found = describe(
        Prediction(prediction.image, np.array(labels), prediction.scores, prediction.boxes),
        three_levels,
    )
    assert [(row['superclass'], row['superclasses']) for row in found['detections']] == [
        ('head', ['head', 'hat']),
        ('body', ['body', 'upper']),
        ('body', ['body', 'lower']),
    ]


def test_classes_without_groups_stand_for_themselves(prediction):
    found = describe(prediction, Taxonomy('flat', ['a', 'b', 'c', 'd']))
    assert [row['superclass'] for row in found['detections']] == ['b', 'd', 'a']
    assert not any('superclasses' in row for row in found['detections'])


def test_the_threshold_belongs_to_what_is_kept(prediction):
    assert prediction.above(0.5).labels.tolist() == [1, 3]
    assert prediction.above(0.51).labels.tolist() == [1]
    assert prediction.above(0.51).boxes.shape == (1, 4)


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
        'mmdet_multigrain.apis.detector.draw_marks',
        lambda picture, marks, **_: drawn.extend(mark.text for mark in marks),
    )
    boxes = np.tile([1, 2, 9, 9], (3, 1)).astype(float)
    draw(Prediction(np.zeros((20, 20, 3), np.uint8), np.arange(3), np.ones(3), boxes), taxonomy)
    assert drawn == ['class 0 (top) 1.00', 'vest (top) 1.00', 'skirt (group 1) 1.00']


@pytest.mark.parametrize('main', ['kind', 'season'])
def test_the_main_tree_is_that_of_the_config(two_trees, main):
    """Its heads have it, whatever the checkpoint was trained with."""
    trained = {'classes': two_trees.classes, 'taxonomy': two_trees.to_dict()}
    own = ConfigDict(two_trees.with_main_tree(main).to_dict())
    found = Taxonomy.load(_with_main_tree(trained, own)['taxonomy'])
    assert found == two_trees.with_main_tree(main)
    one_tree = ConfigDict(two_trees.tree().to_dict())
    for metainfo, of_config in (({'classes': 'ab'}, own), (trained, None), (trained, one_tree)):
        assert _with_main_tree(metainfo, of_config) is metainfo
