"""Items and annotation files of DeepFashion2: hand-computed boxes, bad data, random data."""

import json
import math
import os
import pickle

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from mmdet_multigrain.converters.deepfashion2_items import (
    BadItemError,
    CategoryIds,
    convert_files,
    convert_item,
    item_keys,
    read_annotation,
    split_polygons,
)

from .deepfashion2_release import TAXONOMY, item

IDS = CategoryIds(TAXONOMY.classes)
WIDTH, HEIGHT = 100, 120


def convert(value):
    return convert_item(value, WIDTH, HEIGHT, IDS)


def test_fields_and_box():
    assert convert(item('skirt', (1, 2, 31, 42))) == {
        'category_id': 9,
        'bbox': (1, 2, 30, 40),
        'area': 1200,
        'iscrowd': 0,
        'scale': 2,
        'occlusion': 1,
        'zoom_in': 1,
        'viewpoint': 2,
        'style': 1,
    }


def test_fields_that_an_item_lacks_are_left_out():
    value = {'category_id': 5, 'category_name': 'vest', 'bounding_box': [0, 0, 2, 3], 'style': 0}
    assert convert(value) == {
        'category_id': 5,
        'bbox': (0, 0, 2, 3),
        'area': 6,
        'iscrowd': 0,
        'style': 0,
    }


@pytest.mark.parametrize('alias', ['short_sleeved_shirt', 'Short Sleeve Top', 'short sleeve shirt'])
def test_names_of_the_official_script_and_the_paper(alias):
    assert convert(item(alias, category_id=1))['category_id'] == 1


def test_other_spellings_load_the_taxonomy_and_the_usual_ones_do_not():
    ids = pickle.loads(pickle.dumps(CategoryIds(TAXONOMY.classes)))  # as another process gets it
    assert [ids[name] for name in TAXONOMY.classes] == list(range(1, 14))
    assert '_taxonomy' not in vars(ids)
    assert (ids['Sling_Dress'], ids['hat']) == (13, None) and '_taxonomy' in vars(ids)


@pytest.mark.parametrize(
    'box',
    [
        [1, 2, 3, None],
        [1, 2, 3, '4'],
        [True, 0, 5, 5],
        'box',
        None,
        {},
        [1, 2, 3, 1e300],
        [0, 0, 10**400, 5],
        [math.nan, 0, 5, 5],
        [0, 0, math.inf, 5],
        [1, 2, 3],
        [1, 2, 3, 4, 5],
    ],
)
def test_boxes_that_are_no_numbers(box):
    with pytest.raises(BadItemError, match='four numbers'):
        convert(item(bounding_box=box))


@pytest.mark.parametrize(
    ('box', 'kind'),
    [
        ([5, 5, 5, 9], 'empty'),
        ([5, 5, 9, 5], 'empty'),
        ([9, 5, 5, 9], 'reversed'),
        ([-9, 0, 0, 9], 'outside'),
        ([0, 120, 9, 130], 'outside'),
    ],
)
def test_boxes_without_area(box, kind):
    with pytest.raises(BadItemError, match=kind):
        convert(item(bounding_box=box))


@given(
    x=st.integers(-20, 90),
    y=st.integers(-20, 110),
    w=st.integers(1, 60),
    h=st.integers(1, 60),
    name=st.sampled_from(TAXONOMY.classes),
    kind=st.sampled_from([int, float]),
)
def test_a_box_that_meets_the_image_is_clipped_to_their_intersection(x, y, w, h, name, kind):
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[max(y, 0) : max(y + h, 0), max(x, 0) : max(x + w, 0)] = True
    value = item(name, map(kind, (x, y, x + w, y + h)))
    if not inside.any():
        with pytest.raises(BadItemError, match='outside'):
            convert(value)
        return
    bx, by, bw, bh = map(int, convert(value)['bbox'])
    assert inside[by : by + bh, bx : bx + bw].all() and inside.sum() == bw * bh


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=8,
)
numbers = st.integers(-50, 200) | st.floats(-50, 200)
items = st.fixed_dictionaries(
    {},
    optional={
        'category_name': st.sampled_from([*TAXONOMY.classes, 'hat']) | json_values,
        'category_id': st.integers(0, 14) | json_values,
        'bounding_box': st.lists(numbers, min_size=4, max_size=4) | json_values,
        'segmentation': json_values,
        'scale': json_values,
    },
)


@given(value=items | json_values, width=st.integers(1, 150), height=st.integers(1, 150))
def test_any_item_is_converted_to_a_good_box_or_refused(value, width, height):
    try:
        result = convert_item(value, width, height, IDS)
    except BadItemError as error:
        assert '\n' not in error.found
        return
    x, y, w, h = result['bbox']
    assert 0 <= x and 0 <= y and w > 0 and h > 0
    assert x + w <= width * (1 + 1e-9) and y + h <= height * (1 + 1e-9)
    assert result['area'] == pytest.approx(w * h)
    assert TAXONOMY.find(value['category_name']) + 1 == result['category_id']


@given(st.lists(st.lists(numbers, max_size=9) | json_values, max_size=5) | json_values)
def test_polygons_are_those_that_coco_tools_read(segmentation):
    polygons, others = split_polygons(segmentation)
    parts = segmentation if isinstance(segmentation, list) else [segmentation]
    assert len(polygons) + len(others) == len(parts)
    for polygon in polygons:
        assert np.isfinite(np.array(polygon, float).reshape(-1, 2)).all() and len(polygon) >= 6


@given(st.permutations([f'item{n}' for n in range(1, 13)] + ['source', 'items', 'item', 'item1x']))
def test_item_keys_are_sorted_by_number(keys):
    assert item_keys(keys) == [f'item{n}' for n in range(1, 13)]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp('files')
    Image.new('RGB', (WIDTH, HEIGHT)).save(path / 'a.jpg')
    return path


def convert_content(folder, content, with_segmentation=True):
    (folder / 'a.json').write_bytes(content)
    return convert_files(
        [('a.json', 'a.jpg')],
        anno_folder=str(folder),
        image_folder=str(folder),
        ids=IDS,
        with_segmentation=with_segmentation,
    )


GOOD = {
    'source': 'user',
    'pair_id': 7,
    'item1': item('vest'),
    'item2': item('hat'),
    'item3': item('skirt', (-5, 0, 300, 30), segmentation=[[1, 2]]),
}


@pytest.mark.parametrize(
    'rewrite',
    [
        lambda raw: raw,
        lambda raw: b'\xef\xbb\xbf' + raw,
        lambda raw: raw + b'\r\n',
        lambda raw: json.dumps(json.loads(raw), indent=1).replace('\n', '\r\n').encode(),
    ],
)
def test_byte_order_mark_and_line_ends_do_not_matter(folder, rewrite):
    converted = convert_content(folder, rewrite(json.dumps(GOOD).encode()))
    assert converted == convert_content(folder, json.dumps(GOOD).encode())
    assert converted.counts == [2] and converted.boxes == {5: 1, 9: 1}


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (b'', 'empty document'),
        (b'\xef\xbb\xbf', 'empty document'),
        (b'[1]', 'no JSON object'),
        (b'[' * 10_000, 'column'),
        (b'{"a":' * 10_000 + b'1' + b'}' * 10_000, 'column'),
        (b'{"pair_id": NaN}', 'column'),
        (b'{"pair_id": 1e999}', 'infinity'),
        (b'{"pair_id": 1}' + b' ' * 200_000 + b'x', 'column'),
        (b'\xff\xfe{\0}\0', 'UTF-8'),
        (b'{"source": "\\ud800"}', 'surrogate'),
    ],
)
def test_unreadable_files_are_counted_with_the_reason(folder, content, reason):
    converted = convert_content(folder, content)
    assert converted.problems.counts == {'unreadable annotation file': 1}
    assert reason in converted.problems.examples['unreadable annotation file'][0]
    assert converted.images == converted.annotations == converted.counts == []


def test_large_file_is_read_to_its_end(folder):
    large = {**GOOD, 'item1': item('vest', landmarks=list(range(100_000)))}
    converted = convert_content(folder, json.dumps(large).encode())
    assert converted == convert_content(folder, json.dumps(GOOD).encode())


def test_file_without_end_is_not_read_to_it(folder):
    with open(folder / 'endless.json', 'wb') as file:
        file.truncate(1 << 40)
    descriptor = os.open(folder, os.O_RDONLY)
    with pytest.raises(ValueError, match='over 16 MiB, more than an annotation file has'):
        read_annotation('endless.json', descriptor)
    os.close(descriptor)


@pytest.mark.parametrize('where', ['scale', 'pair_id'])
def test_deep_nesting_that_can_be_read_but_not_written(folder, where):
    deep = json.loads('[' * 400 + ']' * 400)
    content = (
        {**GOOD, 'pair_id': deep}
        if where == 'pair_id'
        else {**GOOD, 'item1': item('vest', scale=deep)}
    )
    converted = convert_content(folder, json.dumps(content).encode())
    left = {'pair_id': 2, 'scale': 1}[where]
    assert converted.problems.counts['item nested too deeply'] == left
    assert sum(converted.counts) == len(converted.annotations) == 2 - left


def test_huge_numbers_in_fields_are_written_as_json(folder):
    content = {**GOOD, 'pair_id': 10**30, 'source': -1e308}
    converted = convert_content(folder, json.dumps(content).encode())
    assert [json.loads(text)['pair_id'] for text in converted.annotations] == [1e30, 1e30]


@settings(deadline=None)  # writes files
@given(cut=st.integers(0, 1200), insert=st.binary(max_size=6), skip=st.integers(0, 40))
@example(cut=0, insert=b'', skip=0)
def test_damaged_files_are_converted_or_counted(folder, cut, insert, skip):
    raw = json.dumps(GOOD).encode()
    content = raw[:cut] + insert + raw[cut + skip :]
    converted = convert_content(folder, content)
    assert converted.images or converted.problems.counts
    assert sum(converted.counts) == len(converted.annotations) == converted.boxes.total()
    for text in converted.annotations + converted.images:
        json.loads(text)
    assert all(line.isprintable() for line in str(converted.problems).splitlines())


@settings(deadline=None)  # writes files
@given(
    value=st.dictionaries(
        st.sampled_from(['item1', 'item2', 'pair_id', 'source', 'x']), items | json_values
    )
)
def test_any_json_object_is_converted_or_counted(folder, value):
    converted = convert_content(folder, json.dumps(value).encode())
    assert len(converted.images) + len(converted.problems.counts) >= 1
    for text in converted.annotations:
        box = json.loads(text)['bbox']
        assert all(map(math.isfinite, box)) and len(box) == 4


@pytest.mark.parametrize('content', [b'', b'GIF89a', b'\xff\xd8\xff\xe0', b'\x89PNG\r\n\x1a\n'])
def test_unreadable_image_is_counted(folder, content):
    (folder / 'bad.jpg').write_bytes(content)
    (folder / 'a.json').write_bytes(json.dumps(GOOD).encode())
    converted = convert_files(
        [('a.json', 'bad.jpg'), ('a.json', 'a.jpg')],
        ids=IDS,
        anno_folder=str(folder),
        image_folder=str(folder),
        with_segmentation=False,
    )
    assert converted.problems.counts['unreadable image'] == 1
    assert converted.problems.examples['unreadable image'][0].startswith('bad.jpg (')
    assert converted.counts == [2]
