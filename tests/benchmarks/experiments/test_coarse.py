"""Boxes that lose their fine label: which photos, how many boxes, and what is left of them."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.experiments.coarse import coarsen, regroup_coarse
from mmdet_multigrain.taxonomy import Taxonomy

GROUPS = dict(bag='bag', purse='bag', shirt='top', top='top', hat='head')
RARE = 'purse'  # on the first two photos only


@pytest.fixture
def coco():
    """40 photos, each with one to three boxes of all classes but the rare one."""
    categories = [
        dict(id=10 * number, name=name, supercategory=group)
        for number, (name, group) in enumerate(GROUPS.items(), start=1)
    ]
    boxes = [
        dict(image_id=photo, category_id=item['id'], bbox=[copy, 0, 9, 9], area=81, iscrowd=0)
        for photo in range(40)
        for item in categories
        for copy in range(photo % 3 + 1)
        if item['name'] != RARE or photo < 2
    ]
    for number, box in enumerate(boxes, start=1):
        box['id'] = number
    images = [dict(id=n, file_name=f'{n}.jpg', width=64, height=64) for n in range(40)]
    return dict(images=images, annotations=boxes, categories=categories)


@pytest.fixture
def take(coco):
    taxonomy = Taxonomy.from_coco(coco)
    return lambda share, seed=1, **options: coarsen(
        coco, taxonomy, share=share, seed=seed, **options
    )


def names(content):
    return {item['id']: item['name'] for item in content['categories']}


def coarse_photos(content):
    name_of = names(content)
    return {
        box['image_id']
        for box in content['annotations']
        if name_of[box['category_id']].startswith('any ')
    }


def test_whole_photos_lose_all_labels_that_have_siblings(coco, take):
    content, done = take(0.5)
    given, found, photos = names(coco), names(content), coarse_photos(content)
    changed = 0
    for before, after in zip(coco['annotations'], content['annotations'], strict=True):
        assert {**before, 'category_id': 0} == {**after, 'category_id': 0}
        name = given[before['category_id']]
        coarse = before['image_id'] in photos and name != 'hat'
        assert found[after['category_id']] == (f'any {GROUPS[name]}' if coarse else name)
        changed += coarse
    total = len(coco['annotations'])
    assert done['photos'] == len(photos) and done['of_photos'] == 40
    assert done['reached'] == changed / total
    # No more photos than needed: the last one has at most 3 boxes of 4 such classes.
    assert 0.5 <= done['reached'] < 0.5 + 12 / total


def test_counts_of_each_class(coco, take):
    content, done = take(0.5)
    found = Counter(names(content)[box['category_id']] for box in content['annotations'])
    for name in GROUPS:
        assert done['boxes'][name]['fine'] == found[name]
    for group in ('bag', 'top'):
        lost = [done['boxes'][name]['coarse'] for name in GROUPS if GROUPS[name] == group]
        assert sum(lost) == found[f'any {group}'] > 0
    assert done['boxes']['hat']['coarse'] == 0


def test_the_file_is_left_as_it_was(coco, take):
    before = [dict(box) for box in coco['annotations']]
    take(0.5)
    assert coco['annotations'] == before and len(coco['categories']) == 5


def test_dropped_boxes_are_those_that_would_be_coarse(take):
    kept, gone = take(0.5)[0], take(0.5, drop=True)
    name_of = names(kept)
    fine = [
        box for box in kept['annotations'] if not name_of[box['category_id']].startswith('any ')
    ]
    assert gone[0]['annotations'] == fine and gone[0]['images'] == kept['images']
    assert gone[0]['categories'] == kept['categories'][:5]
    assert gone[1]['dropped'] and gone[1]['boxes'] == take(0.5)[1]['boxes']


def test_photos_of_a_smaller_share_are_among_those_of_a_larger_one(take):
    some, more = (coarse_photos(take(share)[0]) for share in (0.25, 0.5))
    assert some < more


def test_seed_decides(take):
    assert take(0.5, seed=3) == take(0.5, seed=3)
    assert coarse_photos(take(0.5, seed=3)[0]) != coarse_photos(take(0.5, seed=4)[0])


@pytest.mark.parametrize('seed', range(10))
def test_each_class_keeps_a_fine_box(take, seed):
    content, done = take(0.7, seed)
    assert min(boxes['fine'] for boxes in done['boxes'].values()) > 0
    assert not {0, 1} <= coarse_photos(content)


def test_a_category_that_is_called_as_a_class_means_the_group(coco, take):
    content, _ = take(0.5)
    taxonomy = regroup_coarse(Taxonomy.from_coco(coco))
    sets = {
        name: [
            taxonomy.classes[label]
            for label in taxonomy.labels.sets[taxonomy.find(name, coarse=True)].nonzero()[0]
        ]
        for name in names(content).values()
    }
    assert sets['top'] == ['top'] and sets['any top'] == ['shirt', 'top']
    assert taxonomy.classes == tuple(GROUPS) and 'any head' not in sets
