"""Which classes an image does not annotate, by LVIS's fields, and a whole file, by names."""

from __future__ import annotations

import json

import pytest

from mmdet_multigrain.coco.annotations import AnnotationFile
from mmdet_multigrain.coco.unannotated import all_but, unannotated_classes
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError, TaxonomyError

TAXONOMY = Taxonomy.load({'groups': {'footwear': ['boot', 'sandal']}, 'ungrouped': ['hat', 'bag']})
IDS = {'boot': 1, 'sandal': 2, 'hat': 3, 'bag': 4, 'footwear': 7}


def found(tmp_path, fields, boxes=()):
    """The classes of one image with these fields, and boxes of these categories."""
    content = dict(
        images=[dict(id=5, file_name='a.jpg', width=90, height=90, **fields)],
        categories=[dict(id=id, name=name) for name, id in IDS.items()],
        annotations=[
            dict(id=n, image_id=5, category_id=IDS[name], bbox=[1, 1, 9, 9], area=81, iscrowd=0)
            for n, name in enumerate(boxes, 1)
        ],
    )
    path = tmp_path / 'file.json'
    path.write_text(json.dumps(content))
    file = AnnotationFile(path, taxonomy=TAXONOMY, coarse=True)
    classes = unannotated_classes(file).get(5, ())
    return {TAXONOMY.classes[label] for label in classes}


def test_neither_found_nor_searched_for(tmp_path):
    assert found(tmp_path, {}, ['boot']) == set()
    assert found(tmp_path, dict(neg_category_ids=[3]), ['boot']) == {'sandal', 'bag'}
    assert found(tmp_path, dict(neg_category_ids=[]), ['boot', 'bag']) == {'sandal', 'hat'}
    assert found(tmp_path, dict(neg_category_ids=[99, 4])) == {'boot', 'sandal', 'hat'}


def test_not_all_of_them_have_a_box(tmp_path):
    assert found(tmp_path, dict(not_exhaustive_category_ids=[1]), ['boot']) == {'boot'}
    fields = dict(neg_category_ids=[2, 3, 4], not_exhaustive_category_ids=[1])
    assert found(tmp_path, fields, ['boot']) == {'boot'}


def test_a_category_of_a_group_stands_for_its_classes_but_a_box_of_it_for_none(tmp_path):
    assert found(tmp_path, dict(neg_category_ids=[7]), ['footwear', 'hat']) == {'bag'}
    fields = dict(neg_category_ids=[3, 4])
    assert found(tmp_path, fields, ['footwear']) == {'boot', 'sandal'}


def test_images_share_the_numbers_of_classes(tmp_path):
    """Copies for 100,000 images of LVIS take gigabytes."""
    names = [f'class {n}' for n in range(600)]
    content = dict(
        images=[
            dict(id=n, file_name=f'{n}.jpg', width=90, height=90, neg_category_ids=[1])
            for n in range(50)
        ],
        categories=[dict(id=n, name=name) for n, name in enumerate(names, 1)],
        annotations=[],
    )
    (tmp_path / 'file.json').write_text(json.dumps(content))
    file = AnnotationFile(tmp_path / 'file.json', taxonomy=Taxonomy('many', names), coarse=True)
    classes = unannotated_classes(file)
    assert [*classes[0]] == [*range(1, 600)] and len(classes) == 50
    assert len({id(label) for labels in classes.values() for label in labels}) == 599


def all_but_of(tmp_path, names, categories=IDS, taxonomy=TAXONOMY, **options):
    content = dict(images=[], annotations=[], categories=[
        dict(id=n, name=name) for n, name in enumerate(categories, 1)
    ])  # fmt: skip
    path = tmp_path / 'file.json'
    path.write_text(json.dumps(content))
    file = AnnotationFile(path, taxonomy=taxonomy, coarse=True, allow_missing=True)
    return {taxonomy.classes[label] for label in all_but(names, file, **options)}


@pytest.mark.parametrize(
    ('names', 'left_out'),
    [
        (['hat'], {'boot', 'sandal', 'bag'}),
        (('FOOTWEAR',), {'hat', 'bag'}),
        (['footwear', 'Bag'], {'hat'}),
        (['object'], set()),
        (['boot', 'sandal', 'hat', 'bag'], set()),
    ],
)
def test_names_for_a_whole_file(tmp_path, names, left_out):
    assert all_but_of(tmp_path, names) == left_out


def test_groups_of_all_levels_and_of_one_class(tmp_path, three_levels):
    for name, left_out in (('upper', {'skirt', 'shorts', 'hat'}), ('body', {'hat'})):
        assert all_but_of(tmp_path, [name], three_levels.classes, three_levels) == left_out
    of_head = all_but_of(tmp_path, ['head'], three_levels.classes, three_levels)
    assert of_head == {'shirt', 'vest', 'skirt', 'shorts'}


def test_wrong_names(tmp_path):
    for names in ('hat', [], ''):
        with pytest.raises(
            ConfigError, match="file.json: annotated is .*, not a list .* 'per_image'"
        ):
            all_but_of(tmp_path, names)
    with pytest.raises(
        TaxonomyError, match="annotated names 'sandel', which .* lacks; did you mea"
    ):
        all_but_of(tmp_path, ['hat', 'sandel'])
    with pytest.raises(
        TaxonomyError, match='annotated names 3, which taxonomy .* lacks; correct it'
    ):
        all_but_of(tmp_path, [3])


def test_annotated_classes_need_a_category(tmp_path):
    categories = ['bag', 'footwear']  # boots and sandals have boxes as footwear
    assert all_but_of(tmp_path, ['footwear', 'bag'], categories) == {'hat'}
    message = "no category for 1 of the classes that annotated names: 'hat'; leave them out of"
    with pytest.raises(TaxonomyError, match=message):
        all_but_of(tmp_path, ['hat', 'bag'], categories)
    assert all_but_of(tmp_path, ['hat', 'bag'], categories, allow_missing=True) == {
        'boot',
        'sandal',
    }
