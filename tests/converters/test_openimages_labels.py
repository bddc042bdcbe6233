"""Boxes of superclasses, and verified image labels in LVIS's fields."""

import pytest

from mmdet_multigrain.checks.dataset import check_files, load_files
from mmdet_multigrain.coco.annotations import AnnotationFile
from mmdet_multigrain.coco.unannotated import unannotated_classes
from mmdet_multigrain.converters.openimages_hierarchy import Hierarchy
from mmdet_multigrain.converters.openimages_labels import FIELDS, read_absent
from mmdet_multigrain.converters.openimages_selection import select
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.problems import Problems

from .openimages_release import SELECTION, fails, row, run

TREE = Hierarchy(
    '/m/all',
    {
        '/m/all': ('/m/wear', '/m/dog'),
        '/m/wear': ('/m/top', '/m/hat', '/m/warm'),
        '/m/top': ('/m/shirt', '/m/coat', '/m/only'),
        '/m/warm': ('/m/coat', '/m/hat'),
        '/m/only': ('/m/shirt',),
        **dict.fromkeys(('/m/shirt', '/m/coat', '/m/hat', '/m/dog'), ()),
    },
    {'/m/top': 'Upper', '/m/wear': 'Wear', '/m/warm': 'Warm'},
)
CHOSEN = select(SELECTION.taxonomy, hierarchy=TREE)
SHIRT, COAT, HAT, TOP, OBJECT = 1, 2, 3, 5, 6  # category ids: 4 is background's
HEADER = 'ImageID,Source,LabelName,Confidence\n'


def labels(folder, *rows):
    path = folder / 'train-annotations-human-imagelabels.csv'
    path.write_text(
        HEADER + ''.join(f'{image},verification,{name},{c}\n' for image, name, c in rows)
    )
    return path


def test_superclasses_have_the_smallest_group_that_holds_their_classes():
    assert CHOSEN.coarse == {'/m/top': 4, '/m/only': 4, '/m/wear': 5, '/m/warm': 5}
    assert CHOSEN.below['/m/all'] == {0, 1, 2} and CHOSEN.below['/m/coat'] == {1}
    clash = Taxonomy.load({'t': ['a', 'b'], 'o': ['object', 'c']})
    children = dict.fromkeys(('a', 'b', 'c', 'object'), ())
    children |= {'r': ('a', 'b', 'object', 'c', 'n'), 'n': ('a', 'c')}
    tree = Hierarchy('r', children, {})
    assert select(clash, hierarchy=tree).coarse == {}  # 'object' is a class there


def test_boxes_of_superclasses_are_kept_on_request(tmp_path):
    rows = [row('a', name) for name in ('/m/shirt', '/m/top', '/m/only', '/m/wear', '/m/all')]
    summary, coco = run(tmp_path, *rows, selection=CHOSEN, coarse='keep')
    assert [item['category_id'] for item in coco['annotations']] == [SHIRT, TOP, TOP, OBJECT]
    assert coco['categories'][3:] == [
        {'id': TOP, 'name': 'top', 'supercategory': 'none'},
        {'id': OBJECT, 'name': 'object', 'supercategory': 'none'},
    ]
    assert not summary.problems.counts and coco['info']['coarse'] == 'keep'
    lines = str(summary).splitlines()
    assert lines[-2].split() == ['(superclass', 'only)', 'top', '2', '1']
    # The check and the training read them so.
    (data,) = load_files([tmp_path / 'out' / 'train.json'])
    found = {f.check.code: f.examples for f in check_files([data], CHOSEN.taxonomy).findings}
    assert found['superclass-only'] == (
        "'top' (id 5), 2 boxes: a group of 2 classes at level 0",
        "'object' (id 6), 1 boxes: any class",
    )
    assert 'class-unknown' not in found


def test_without_the_option_nothing_changes(tmp_path):
    rows = [row('a'), row('a', '/m/top')]
    summary, coco = run(tmp_path, *rows, selection=CHOSEN)
    assert len(coco['annotations']) == 1 and len(coco['categories']) == 3
    assert summary.problems.counts == {'box of a superclass only': 1}
    assert 'coarse' not in coco['info'] and FIELDS[0] not in coco['images'][0]
    again, kept = run(tmp_path, selection=CHOSEN, coarse='keep')
    assert not again.up_to_date and len(kept['annotations']) == 2


def test_superclasses_are_not_known_without_a_hierarchy(tmp_path):
    assert fails(tmp_path, row(), coarse='keep').endswith(
        "superclasses of 'small' the class hierarchy tells; name bbox_labels_600_hierarchy.json "
        '(--hierarchy)'
    )


def fields(coco):
    return {
        image['file_name'][0]: tuple(image[name] for name in FIELDS) for image in coco['images']
    }


def test_absent_classes_are_negative_unless_they_have_a_box(tmp_path):
    path = labels(
        tmp_path,
        ('a', '/m/coat', 0), ('a', '/m/shirt', 0), ('a', '/m/hat', 1), ('a', '/m/dog', 0),
        ('b', '/m/all', 0), ('c', '/m/hat', 0),
    )  # fmt: skip
    rows = row('a'), row('b', '/m/coat')
    summary, coco = run(tmp_path, *rows, selection=CHOSEN, image_labels=path)
    assert fields(coco) == {'a': ([COAT], []), 'b': ([SHIRT, HAT], [])}
    assert 'classes verified to be absent: 3, annotated in part: 0' in str(summary)
    assert run(tmp_path, selection=CHOSEN, image_labels=path)[0].up_to_date
    labels(tmp_path, ('b', '/m/hat', '0.0'))
    summary, coco = run(tmp_path, selection=CHOSEN, image_labels=path)
    assert not summary.up_to_date
    assert fields(coco) == {'a': ([], []), 'b': ([HAT], [])}


@pytest.mark.parametrize(
    ('options', 'rows', 'expected'),
    [
        (dict(coarse='keep'), [row('a'), row('a', '/m/top')], []),
        # What is left out may be of a class that has other boxes.
        ({}, [row('a'), row('a', '/m/top')], [SHIRT]),
        ({}, [row('a', '/m/hat'), row('a', '/m/top')], []),
        (dict(group_of='drop'), [row('a'), row('a', flags=(0, 0, 1, 0, 0))], [SHIRT]),
        ({}, [row('a'), row('a', box=(1.2, 1.5, 0.2, 0.4))], [SHIRT]),
        (dict(group_of='crowd'), [row('a'), row('a', flags=(0, 0, 1, 0, 0))], []),
    ],
)
def test_classes_that_are_annotated_in_part(tmp_path, options, rows, expected):
    path = labels(tmp_path, ('a', '/m/hat', 1), ('b', '/m/hat', 0))
    _, coco = run(tmp_path, *rows, selection=CHOSEN, image_labels=path, **options)
    assert fields(coco) == {'a': ([], expected)}


def test_what_images_leave_out(tmp_path):
    path = labels(tmp_path, ('a', '/m/shirt', 0), ('b', '/m/hat', 0))
    rows = [row('a', '/m/warm'), row('a', '/m/coat'), row('b')]
    summary, coco = run(tmp_path, *rows, selection=CHOSEN, image_labels=path, coarse='keep')
    assert fields(coco) == {'a': ([SHIRT], []), 'b': ([HAT], [])}
    # As training and evaluation read it.
    file = AnnotationFile(summary.out_file, taxonomy=CHOSEN.taxonomy, coarse=True)
    assert unannotated_classes(file) == {1: (2,), 2: (1,)}


def test_labels_of_a_machine_are_refused(tmp_path):
    path = labels(tmp_path, ('a', '/m/shirt', 0.7), ('a', '/m/coat', 1), ('a', '/m/dog', 0.1))
    assert fails(tmp_path, row(), selection=CHOSEN, image_labels=path).startswith(
        f'{path}: no class with Confidence 0, and 1 with fractions; '
    )
    problems = Problems()
    labels(tmp_path, ('a', '/m/shirt', 0.7), ('a', '/m/coat', 0), ('b', '/m/coat', 'x'))
    absent = read_absent(path, CHOSEN, problems=problems)
    assert absent.rows() == [('a', 1)] and problems.counts.total() == 2
    path.write_text(HEADER.replace('Confidence', 'Score'))
    assert 'no column Confidence' in fails(tmp_path, row(), selection=CHOSEN, image_labels=path)
