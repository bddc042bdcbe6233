"""What is said of a detection. The way through a model: tests/tools/test_predict.py."""

from __future__ import annotations

import numpy as np
import pytest
from mmengine.config import ConfigDict

from mmdet_multigrain.apis.detector import Prediction, _with_main_tree, describe
from mmdet_multigrain.taxonomy import Taxonomy


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
