"""Reading: which boxes count, which are left out, which files are refused."""

import copy
import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet_multigrain.coco.boxes import box_columns, read_coco
from mmdet_multigrain.taxonomy import Taxonomy, TaxonomyError
from mmdet_multigrain.utils.errors import AnnotationError


def columns_of(content, taxonomy):
    return box_columns(content, taxonomy, 'f.json')


def test_columns_by_hand(content, taxonomy):
    columns = columns_of(content, taxonomy)
    assert columns.labels.tolist() == [0, 0, 0, 1, 2, 1]
    assert columns.images.tolist() == [0, 0, 1, 1, 1, 2]
    assert columns.areas.tolist() == [100, 400, 10000, 1600, 1024, 9216]
    assert columns.image_areas.tolist() == [10000, 160000, 160000, 160000]
    assert columns.listed.tolist() == [True, True, True, *[False] * 4]  # 3 labels above K
    assert not columns.crowd.any() and not columns.problems.counts


def test_order_and_ids_do_not_matter(content, taxonomy):
    other = copy.deepcopy(content)
    random.Random(0).shuffle(other['categories'])
    for category in other['categories']:
        category['id'] += 70
    for item in other['annotations']:
        item['category_id'] += 70
        del item['id'], item['iscrowd']
    assert (
        columns_of(other, taxonomy).labels.tolist() == columns_of(content, taxonomy).labels.tolist()
    )


def test_area_is_the_annotations_else_the_boxs(content, taxonomy):
    first, second, third = content['annotations'][:3]
    first['area'], second['area'] = 60, 0
    del third['area']
    assert columns_of(content, taxonomy).areas.tolist()[:3] == [60, 400, 10000]


@pytest.mark.parametrize(
    ('change', 'kind'),
    [
        ({'bbox': [0, 0, 0.5, 20]}, 'narrower or lower than a pixel'),
        ({'bbox': [0, 0, 20, -3]}, 'narrower or lower than a pixel'),
        ({'bbox': [100, 0, 20, 20]}, 'outside its image'),
        ({'bbox': [0, -20, 20, 20]}, 'outside its image'),
        ({'bbox': [0, 0, 20]}, 'bbox that is not'),
        ({'bbox': 'long'}, 'bbox that is not'),
        ({'bbox': None}, 'bbox that is not'),
        ({'bbox': [0, 0, float('nan'), 9]}, 'bbox that is not'),
        ({'bbox': [0, 0, 10**400, 9]}, 'bbox that is not'),
        ({'bbox': [0, 0, True, 9]}, 'bbox that is not'),
        ({'image_id': 99}, 'unknown image_id'),
        ({'image_id': [1]}, 'unknown image_id'),
        ({'category_id': 'shirt'}, 'unknown category_id'),
        ({'category_id': None}, 'unknown category_id'),
        ({'ignore': 1}, 'marked "ignore"'),
    ],
)
def test_a_box_that_cannot_be_used_is_counted_and_left_out(content, taxonomy, change, kind):
    content['annotations'][0].update(change)
    columns = columns_of(content, taxonomy)
    ((found, count),) = columns.problems.counts.items()
    assert kind in found and count == 1
    assert 'annotations[0]' in columns.problems.examples[found][0]
    assert columns.areas.tolist() == [400, 10000, 1600, 1024, 9216]


def test_a_box_that_reaches_into_its_image_counts(content, taxonomy):
    content['annotations'][0]['bbox'] = [-19, 99, 20, 20]
    assert len(columns_of(content, taxonomy).labels) == 6


@pytest.mark.parametrize('item', [None, 7, 'box', [1, 2]])
def test_an_annotation_that_is_no_object(content, taxonomy, item):
    content['annotations'].append(item)
    columns = columns_of(content, taxonomy)
    assert dict(columns.problems.counts) == {'annotation that is not a JSON object': 1}


def test_images_without_id_or_size_or_with_one_id(content, taxonomy):
    content['images'][0]['width'] = None
    content['images'] += [{'file_name': 'x'}, {'id': 1, 'width': 5, 'height': 5}, 'image']
    columns = columns_of(content, taxonomy)
    assert np.isnan(columns.image_areas[0]) and len(columns.image_areas) == 4
    assert dict(columns.problems.counts) == {
        'image without id': 2,
        'image whose id was used before': 1,
    }


def test_crowds_are_kept_apart(content, taxonomy):
    content['annotations'][1]['iscrowd'] = 1
    assert columns_of(content, taxonomy).crowd.tolist() == [False, True] + 4 * [False]


def test_annotated_classes_that_the_taxonomy_lacks_are_refused(content, taxonomy):
    content['categories'].append({'id': 4, 'name': 'skrt'})
    assert len(columns_of(content, taxonomy).labels) == 6  # nothing is lost
    content['annotations'][0]['category_id'] = 4
    with pytest.raises(TaxonomyError, match="f.json: 1 of 4 categories not in taxonomy 'few'"):
        columns_of(content, taxonomy)


@pytest.mark.parametrize(
    ('category', 'message'),
    [
        ({'id': 1, 'name': 'coat'}, 'id 1 is used twice'),
        ({'id': '4', 'name': 'coat'}, "id '4' is not an integer"),
        ({'id': 4}, "has no 'name'"),
        (None, r"categories\[3\] has no 'id'"),
    ],
)
def test_broken_categories_are_refused(content, taxonomy, category, message):
    content['categories'].append(category)
    with pytest.raises(AnnotationError, match=f'f.json: .*{message}'):
        columns_of(content, taxonomy)


def test_nothing_usable_is_an_error_that_says_why(content, taxonomy):
    for item in content['annotations']:
        item['bbox'] = [0, 0, 0, 0]
    with pytest.raises(AnnotationError, match=r'none of its 6 boxes .*\(6 x box narrower'):
        columns_of(content, taxonomy)
    for item in content['annotations']:
        item['bbox'], item['iscrowd'] = [0, 0, 9, 9], 1
    content['annotations'][0]['ignore'] = 'true'
    with pytest.raises(AnnotationError, match='1 x annotation marked "ignore", 5 x crowd'):
        columns_of(content, taxonomy)


def test_boxes_in_images_below_min_size_are_left_out_of_training_data(content, taxonomy):
    content['images'][0]['height'] = 31
    assert len(columns_of(content, taxonomy).labels) == 6
    columns = box_columns(content, taxonomy, 'f.json', min_size=32)
    assert columns.images.tolist() == [1, 1, 1, 2]
    assert columns.problems.counts == {'box in an image below 32 pixels': 2}
    content['images'][0]['height'] = 32
    assert len(box_columns(content, taxonomy, 'f.json', min_size=32).labels) == 6


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'not valid JSON'),
        ('{"images": [', 'not valid JSON'),
        ('[1]', 'not a COCO file'),
        ('{"images": [], "categories": []}', "no list 'annotations'"),
        ('{"images": [], "categories": [], "annotations": {}}', "no list 'annotations'"),
        ('{"images": [], "categories": [], "annotations": []}', 'it has no annotations'),
    ],
)
def test_files_that_are_refused(tmp_path, text, message):
    path = tmp_path / 'a b.json'
    path.write_text(text)
    with pytest.raises(AnnotationError, match=message) as error:
        read_coco(path)
    assert str(error.value).startswith(str(path)) and '\n' not in str(error.value)


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(AnnotationError, match='nowhere.json: no such annotation file'):
        read_coco(tmp_path / 'nowhere.json')
    with pytest.raises(AnnotationError, match='this is a folder'):
        read_coco(tmp_path)


def test_byte_order_mark_and_nan_are_read(tmp_path, content):
    content['annotations'][0]['bbox'][0] = float('nan')
    (tmp_path / 'f.json').write_bytes(b'\xef\xbb\xbf' + json.dumps(content).encode())
    assert len(read_coco(tmp_path / 'f.json')['annotations']) == 6


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(['id', 'name', 'bbox', 'image_id', 'category_id', 'width']), inner
        )
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_whatever_stands_in_a_file_gives_boxes_or_one_line(data):
    taxonomy = Taxonomy('t', ['a', 'b'])
    content = {
        'images': [{'id': 1, 'width': 9, 'height': 9}],
        'categories': [{'id': 1, 'name': 'a'}],
        'annotations': [{'image_id': 1, 'category_id': 1, 'bbox': [0, 0, 5, 5]}],
    }
    key = data.draw(st.sampled_from(sorted(content)))
    entry = dict(content[key][0])
    if data.draw(st.booleans()):
        entry = data.draw(json_values)
    else:
        entry[data.draw(st.sampled_from(sorted(entry)))] = data.draw(json_values)
    content[key].append(entry)
    try:
        columns = columns_of(content, taxonomy)
    except ValueError as error:
        assert '\n' not in str(error) and str(error).startswith('f.json: ')
    else:
        assert 1 <= len(columns.labels) <= 2
