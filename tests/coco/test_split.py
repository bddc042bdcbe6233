"""Splits: shares of rare classes, groups that stay whole, seeds, near-duplicates."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mmdet_multigrain.coco.columns import CocoColumns
from mmdet_multigrain.coco.split import group_images, join_near_duplicates, split, stratify
from mmdet_multigrain.utils.errors import AnnotationError, ConfigError


def coco(classes_of_images, **fields):
    """One image per entry with a box of each class in it; fields: a value for each image."""
    images = [
        {'id': 10 + number, 'file_name': f'{number}.jpg', 'width': 50, 'height': 50}
        | {name: values[number] for name, values in fields.items()}
        for number in range(len(classes_of_images))
    ]
    annotations = [
        {'id': 1 + number, 'image_id': 10 + image, 'category_id': category, 'bbox': [1, 1, 9, 9]}
        for number, (image, category) in enumerate(
            (image, category)
            for image, classes in enumerate(classes_of_images)
            for category in classes
        )
    ]
    names = sorted({category for classes in classes_of_images for category in classes})
    return CocoColumns(
        {
            'info': {'year': 2026},
            'images': images,
            'annotations': annotations,
            'categories': [{'id': name, 'name': f'class {name}'} for name in names],
        }
    )


@pytest.mark.parametrize('seed', range(20))
def test_rare_classes_are_in_every_part(seed):
    rng = np.random.default_rng(seed)
    images = [[1] * int(rng.integers(1, 5)) + [2] * int(rng.random() < 0.3) for _ in range(100)]
    for row, rare in zip(rng.permutation(100)[:9], [3, 3, 3, 4, 4, 4, 4, 4, 4], strict=True):
        images[row].append(rare)
    result = split(coco(images), [0.7, 0.15, 0.15], seed=seed)
    assert (result.counts > 0).all()
    assert result.counts[:, 3].tolist() == [4, 1, 1]
    shares = result.counts / result.counts.sum(0)
    assert np.abs(shares[:, 0] - [0.7, 0.15, 0.15]).max() < 0.03
    assert np.abs(np.bincount(result.part_of) - [70, 15, 15]).max() <= 4


def test_images_without_boxes_get_their_share():
    result = split(coco([[1]] * 10 + [[]] * 10), [0.5, 0.5])
    assert np.bincount(result.part_of[:10]).tolist() == [5, 5]
    assert np.bincount(result.part_of[10:]).tolist() == [5, 5]


def test_groups_stay_whole():
    rng = np.random.default_rng(0)
    data = coco([[int(rng.integers(1, 4))] for _ in range(60)], video=[n // 4 for n in range(60)])
    result = split(data, [0.5, 0.25, 0.25], group_of=group_images(data, 'field:video'))
    assert len(np.unique(result.group_of)) == 15
    for group in range(15):
        assert len(set(result.part_of[result.group_of == group])) == 1


def test_large_groups_go_first():
    """Dealt out last, the group of 8 would leave one part with 10 boxes."""
    counts = np.array([[1, 1], [1, 1], [1, 1], [1, 1], [8, 1], [2, 1], [2, 1]])
    for seed in range(5):
        part_of = stratify(counts, np.array([0.5, 0.5]), np.random.default_rng(seed))
        assert sorted(np.bincount(part_of, counts[:, 0])) == [8, 8]


def test_the_seed_decides():
    data = coco([[1, 2]] * 40)
    parts = [split(data, [0.5, 0.5], seed=seed).part_of.tolist() for seed in (0, 0, 1)]
    assert parts[0] == parts[1] != parts[2]


def test_boxes_that_training_leaves_out_do_not_count():
    data = coco([[1]] * 4)
    data.annotations[0]['iscrowd'] = 1
    data.annotations[1]['bbox'] = [1, 1, 0.5, 9]
    assert split(data, [0.5, 0.5]).counts.tolist() == [[1], [1]]


def test_content_keeps_order_and_other_keys():
    data = coco([[1], [2], [1, 2], [1]])
    data.annotations.append({'id': 99, 'image_id': 404, 'category_id': 1, 'bbox': [1, 1, 9, 9]})
    result = split(data, [0.5, 0.5])
    parts = [result.content([part]) for part in (0, 1)]
    assert sorted(image['id'] for part in parts for image in part['images']) == [10, 11, 12, 13]
    for part in (*parts, result.content([0, 1])):
        ids = [image['id'] for image in part['images']]
        assert ids == sorted(ids) and part['info'] == {'year': 2026}
        assert [item['id'] for item in part['annotations']] == [
            item['id'] for item in data.annotations if item['image_id'] in ids
        ]
        assert part['categories'] == data.content['categories']


@pytest.mark.parametrize(
    ('grouping', 'expected'),
    [
        (None, [0, 1, 2, 3]),
        ('folder', [0, 0, 1, 2]),
        ('name:^.*?([0-9]+)_', [0, 1, 0, 1]),
        ('name:[0-9]_[ab]', [0, 1, 2, 3]),
        ('field:patient', [0, 1, 1, 0]),
    ],
)
def test_groupings(grouping, expected):
    names = ['x/1_a.jpg', 'x/2_b.jpg', 'y/1_b.jpg', '2_a.jpg']
    data = coco([[1]] * 4, file_name=names, patient=['p', 7, 7, 'p'])
    assert group_images(data, grouping).tolist() == expected


@pytest.mark.parametrize(
    ('grouping', 'message'),
    [
        ('video', 'not folder, name:REGEX or field:KEY'),
        ('field:', 'not folder'),
        ('name:(', 'not a regular expression'),
    ],
)
def test_wrong_groupings_are_refused(grouping, message):
    with pytest.raises(ConfigError, match=message):
        group_images(coco([[1]]), grouping)


@pytest.mark.parametrize(
    ('grouping', 'message'),
    [
        ('field:video', "image 10 .*has no 'video'"),
        ('name:z', 'does not match its file name'),
        ('name:(z)?a?', 'does not match its file name'),  # its group has no part in the match
    ],
)
def test_images_outside_all_groups_are_named(grouping, message):
    with pytest.raises(AnnotationError, match=message):
        group_images(coco([[1]]), grouping)


def test_what_cannot_be_split_is_refused():
    with pytest.raises(AnnotationError, match='2 images in 2 groups cannot make 3 parts'):
        split(coco([[1], [1]]), [0.4, 0.3, 0.3])
    with pytest.raises(AnnotationError, match='image 10 .*its id is that of another image'):
        split(coco([[1], [1], [1]], id=[10, 11, 10]), [0.5, 0.5])
    lists = dict(id=[10, 11, 10], file_name=[['a'], 'b', ['c']])  # no names of files
    with pytest.raises(AnnotationError, match='its id is that of another image'):
        split(coco([[1], [1], [1]], **lists), [0.5, 0.5])
    same = dict(id=[10, 11, 10], file_name=['a', 'b', 'a'])
    with pytest.raises(
        AnnotationError, match=r'listed twice; remove one \(tools/check_dataset.py --f'
    ):
        split(coco([[1], [1], [1]], **same), [0.5, 0.5])


def test_photos_that_look_the_same_are_one_group(tmp_path):
    rng = np.random.default_rng(0)

    def photo(name, pixels, size=(90, 80), **options):
        Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(
            tmp_path / name, **options
        )

    first, other = (rng.integers(0, 255, (6, 7, 3), dtype=np.uint8) for _ in range(2))
    photo('0.jpg', first)
    photo('1.jpg', other)
    photo('2.jpg', first, size=(180, 160), quality=60)
    photo('3.jpg', (first * 0.5).astype(np.uint8))  # the same gradients, but much darker
    groups = join_near_duplicates(coco([[1]] * 4), np.arange(4), tmp_path)
    assert groups[0] == groups[2]
    assert len(set(groups)) == 3
    # Groups join as wholes.
    assert len(set(join_near_duplicates(coco([[1]] * 4), np.array([0, 1, 1, 2]), tmp_path))) == 2
    (tmp_path / '1.jpg').write_bytes(b'')
    with pytest.raises(AnnotationError, match='image 11 .*cannot be read'):
        join_near_duplicates(coco([[1]] * 4), np.arange(4), tmp_path)
