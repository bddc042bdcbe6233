"""Detections as a COCO file: categories of all levels, boxes with labels that come back."""

from __future__ import annotations

import json

import pytest
from hotcoco import COCO

from mmdet_multigrain.coco.annotations import AnnotationFile
from mmdet_multigrain.coco.preannotations import category_tree, preannotations
from mmdet_multigrain.taxonomy import Taxonomy, TaxonomyError
from mmdet_multigrain.taxonomy.nodes import Nodes

NESTED = Taxonomy.load(
    {
        'groups': {
            'fish': ['fish', 'cod', 'tuna'],  # the name of a class
            'plant': {'tree': ['oak', 'fir'], 'low': ['fern']},
            'stone': {'gem': ['ruby', 'opal']},  # the same classes on two levels
            'metal': {'ore': ['tin'], 'other': ['gold', 'lead']},
        },
        'ungrouped': ['cloud'],
    }
)


def image(taxonomy, name='a.jpg', answers=()):
    """A detection of each class, and maybe answers by (class, level)."""
    rows = [
        {'class': name, 'score': 0.5 + label / 99, 'box': [1.5, 2, 10, 20.25]}
        for label, name in enumerate(taxonomy.classes)
    ]
    found = dict(file_name=name, width=64, height=48, detections=rows)
    if answers:
        found['answers'] = [
            dict(
                name='', level=level, score=0.7, box=[3, 4, 5, 6], members=[taxonomy.label_of(one)]
            )
            for one, level in answers
        ]
    return found


def test_boxes_of_all_classes(garments):
    content = preannotations([image(garments), image(garments, 'sub/b.jpg')], garments)
    assert content['images'] == [
        dict(id=1, file_name='a.jpg', width=64, height=48),
        dict(id=2, file_name='sub/b.jpg', width=64, height=48),
    ]
    assert content['categories'] == [
        dict(id=1, name='shirt', supercategory='top'),
        dict(id=2, name='skirt', supercategory='bottom'),
        dict(id=3, name='vest', supercategory='top'),
        dict(id=4, name='hat', supercategory='none'),
        dict(id=5, name='shorts', supercategory='bottom'),
        dict(id=7, name='top', supercategory='none'),
        dict(id=8, name='bottom', supercategory='none'),
    ]
    assert [row['category_id'] for row in content['annotations']] == 2 * [1, 2, 3, 4, 5]
    assert content['annotations'][5] == dict(
        id=6, image_id=2, category_id=1, bbox=[1.5, 2, 10, 20.25], area=202.5, iscrowd=0, score=0.5
    )


def test_the_file_tells_the_hierarchy(garments, three_levels):
    for taxonomy in (garments, three_levels, Taxonomy('flat', ['a', 'b'])):
        back = Taxonomy.from_coco(preannotations([], taxonomy))
        assert (back.classes, back.paths) == (taxonomy.classes, taxonomy.paths)
    parents = {row['name']: row['supercategory'] for row in category_tree(NESTED)}
    assert 'low' not in parents and parents['fern'] == 'plant'  # a group of one class
    assert 'gem' not in parents and parents['ruby'] == 'stone'
    assert parents['fish'] == 'fish' and parents['cod'] == 'fish'
    assert parents['tree'] == 'plant' and parents['cloud'] == 'none'


def restored(content, taxonomy, folder):
    """Label of each box, as a data set reads them."""
    path = folder / 'annotations.json'
    path.write_text(json.dumps(content))
    file = AnnotationFile(path, taxonomy=taxonomy, coarse=True)
    labels = {
        category['id']: taxonomy.find(category['name'], coarse=True)
        for category in file.dataset['categories']
    }
    return [labels[row['category_id']] for row in file.dataset['annotations']]


@pytest.mark.parametrize('through', ['itself', 'cvat'])
def test_answers_come_back_as_the_classes_that_they_allow(tmp_path, through):
    nodes = Nodes.of(NESTED)
    answers = [(name, level) for name in NESTED.classes for level in range(NESTED.num_levels + 1)]
    content = preannotations([image(NESTED, answers=answers)], NESTED)
    if through == 'cvat':
        (tmp_path / 'a.json').write_text(json.dumps(content))
        COCO(str(tmp_path / 'a.json')).to_cvat(str(tmp_path / 'a.xml'))
        COCO.from_cvat(str(tmp_path / 'a.xml')).save(str(tmp_path / 'b.json'))
        content = json.loads((tmp_path / 'b.json').read_text())
    labels = restored(content, NESTED, tmp_path)
    for (name, level), label in zip(answers, labels, strict=True):
        known = NESTED.labels.sets[label, :-1]
        own = NESTED.label_of(name)
        node = nodes.index[level] == nodes.index[level, own]
        if (name, level) in [(one, 2) for one in ('fish', 'cod', 'tuna')]:
            assert label == len(NESTED.labels) - 1  # "fish" would be the class
        else:
            assert known.tolist() == node.tolist(), (name, level)


def test_object_is_a_category_only_where_it_is_an_answer(garments):
    for level, names in ((1, []), (2, ['object'])):
        content = preannotations([image(garments, answers=[('vest', level)])], garments)
        assert [row['name'] for row in content['categories']][7:] == names


@pytest.mark.parametrize(
    'groups', [dict(a=['Object', 'b'], c=['d']), dict(object=['b', 'e'], c=['d'])]
)
def test_an_object_that_would_be_read_as_a_class_is_refused(groups):
    taxonomy = Taxonomy.load(groups)
    preannotations([image(taxonomy, answers=[('d', 1)])], taxonomy)
    with pytest.raises(TaxonomyError, match="calls a class or a group 'object'.*; rename it$"):
        preannotations([image(taxonomy, answers=[('d', 2)])], taxonomy)


def test_of_several_trees_the_first_has_the_categories(two_trees, three_levels):
    found, expected = (preannotations([image(one)], one) for one in (two_trees, three_levels))
    assert found == expected
