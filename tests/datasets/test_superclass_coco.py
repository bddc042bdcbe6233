"""The data set: labels, what is left out, wrappers, workers, broken images, real photos."""

import copy
import pickle
import random
import shutil

import numpy as np
import pytest
import torch
from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from mmdet_multigrain.datasets import SuperclassCocoDataset, taxonomy_metainfo
from mmdet_multigrain.engine.hooks.preflight_hook import box_counts
from mmdet_multigrain.launch import one_line
from mmdet_multigrain.taxonomy import Taxonomy, TaxonomyError
from mmdet_multigrain.utils.errors import AnnotationError
from mmdet_multigrain.visualization.palette import class_palette

LOAD = [dict(type='LoadImageFromFile')]
PIPELINE = [*LOAD, dict(type='LoadAnnotations', with_bbox=True), dict(type='PackDetInputs')]


def samples(dataset):
    """Image id -> (label, box) of each of its instances."""
    infos = (dataset.get_data_info(index) for index in range(len(dataset)))
    return {
        info['img_id']: sorted((row['bbox_label'], *row['bbox']) for row in info['instances'])
        for info in infos
    }


def test_labels_boxes_and_counts_by_hand(content, build, garments, log):
    dataset = build(content)
    assert samples(dataset) == {
        11: [(0, 0, 0, 10, 20), (2, 5, 5, 13, 13)],
        12: [(1, 1, 2, 31, 6), (4, 1, 1, 4, 4), (4, 9, 9, 13, 13)],
        13: [(3, 2, 2, 22, 22)],
    }
    assert dataset.box_counts == [1, 1, 1, 1, 2]
    assert dataset.taxonomy == garments
    assert log == [f'{dataset.ann_file}: 3 images, 6 boxes of 5 classes']


def test_counts_are_of_the_images_that_indices_leave(content, build, log):
    content['images'].append({'id': 14, 'file_name': '14.png', 'width': 40, 'height': 30})
    dataset = build(content, indices=[2, 3], annotated=['top', 'hat'])
    assert {*samples(dataset)} == {13, 14}
    assert dataset.box_counts == [0, 0, 0, 1, 0] and dataset.empty_counts == (1, 0)
    assert dataset.annotated_counts == [2, 0, 2, 2, 0]
    assert log[-1] == f'{dataset.ann_file}: 2 images, 1 boxes of 5 classes'
    dataset = build(content, indices=-1, filter_cfg=dict(filter_empty_gt=True))
    assert {*samples(dataset)} == {13} and dataset.empty_counts == (0, 1)
    assert '1 images, 1 boxes' in log[-1] and 'left out 1 images' in log[-1]


def test_scrambled_file_gives_the_same_samples(content, build):
    expected = build(content)
    rng = random.Random(3)
    for item in (*content['categories'], *content['annotations']):
        key = 'category_id' if 'category_id' in item else 'id'
        item[key] = 90 - 7 * item[key]
    for entries in content.values():
        rng.shuffle(entries)
    scrambled = build(content)
    assert samples(scrambled) == samples(expected)
    assert scrambled.box_counts == expected.box_counts
    assert scrambled.metainfo == expected.metainfo


def test_stock_data_set_gets_scrambled_files_wrong(content, write, garments):
    """What the class is for: with stock, labels follow the file's order."""
    content['categories'].reverse()
    stock = CocoDataset(
        ann_file=write(content), metainfo=dict(classes=garments.classes), data_prefix=dict(img='')
    )
    assert stock.get_cat_ids(0) == [4, 2]  # shirt and vest


def test_missing_and_unknown_classes(content, build, log):
    content['categories'][0]['name'] = 'blouse'
    with pytest.raises(TaxonomyError, match="'blouse'"):
        build(content)
    with pytest.raises(TaxonomyError, match="'shirt'"):
        build(content, allow_unknown=True)
    log.clear()
    dataset = build(content, allow_unknown=True, allow_missing=True)
    assert dataset.box_counts == [0, 1, 1, 1, 2]
    assert samples(dataset)[11] == [(2, 5, 5, 13, 13)]
    assert log == [
        f"{dataset.ann_file}: left out 1 boxes of classes that taxonomy 'garments' lacks: 'blouse'",
        f'{dataset.ann_file}: 3 images, 5 boxes of 5 classes',
    ]


def test_what_is_left_out_is_counted_once(content, build, log):
    rows = content['annotations']
    rows[0] |= {'bbox': [100, 0, 10, 10], 'area': 100}  # outside
    rows[1] |= {'bbox': [5, 5, 0.5, 8], 'area': 4}  # narrow
    rows[2]['ignore'] = 1
    rows[3]['iscrowd'] = 1
    dataset = build(content, filter_cfg=dict(filter_empty_gt=True))
    # Image 11 has boxes in the file, but no usable one.
    assert list(samples(dataset)) == [12, 13]
    assert dataset.box_counts == [0, 0, 0, 1, 1]  # the crowd is there, but not counted
    assert [row['ignore_flag'] for row in dataset.get_data_info(0)['instances']] == [1, 0]
    assert log == [
        f'{dataset.ann_file}: 2 images, 2 boxes of 5 classes; left out 1 images (without usable '
        'boxes, or smaller than filter_cfg.min_size); left out 3 boxes (outside the image, '
        'smaller than a pixel, or marked ignore)'
    ]
    assert dataset.empty_counts == (0, 1)
    whole = build(content)
    assert list(samples(whole)) == [11, 12, 13] and whole.empty_counts == (1, 0)
    assert list(samples(build(content, test_mode=True, filter_cfg=dict(filter_empty_gt=True)))) == [
        11,
        12,
        13,
    ]


def test_filters_by_size_and_boxes(content, build):
    content['images'].append({'id': 14, 'file_name': '14.png', 'width': 40, 'height': 30})
    content['images'][0]['height'] = 20
    dataset = build(content, filter_cfg=dict(filter_empty_gt=True, min_size=25))
    assert list(samples(dataset)) == [12, 13]
    assert dataset.box_counts == [0, 1, 0, 1, 2]
    assert list(samples(build(content, filter_cfg=dict(min_size=25)))) == [12, 13, 14]


@pytest.mark.parametrize('serialize', [True, False])
def test_no_image_left(content, build, serialize):
    options = dict(filter_cfg=dict(min_size=99), serialize_data=serialize)
    with pytest.raises(AnnotationError, match='train.json: no image is left of 3; .*min_size'):
        build(content, **options)
    for item in content['annotations']:
        item['bbox'][2] = 0.25
    with pytest.raises(AnnotationError, match='no image is left of 3; .* no usable box'):
        build(content, filter_cfg=dict(filter_empty_gt=True), serialize_data=serialize)
    with pytest.raises(AnnotationError, match='no image is left of 0'):
        build({**content, 'images': [], 'annotations': []}, test_mode=True)


def test_folder_or_file_missing(content, build, tmp_path):
    with pytest.raises(AnnotationError, match='nowhere: no such image folder; check data_root'):
        build(content, data_prefix=dict(img='nowhere'))
    with pytest.raises(AnnotationError, match=f'^{tmp_path}/val.json: no such annotation file'):
        build(content, ann_file='val.json')


def test_wrong_arguments(content, build, garments, write):
    with pytest.raises(ValueError, match='SuperclassCocoDataset needs a taxonomy'):
        build(content, taxonomy=None)
    for metainfo in (dict(classes=garments.classes[::-1]), dict(taxonomy='deepfashion2')):
        with pytest.raises(ValueError, match="metainfo gives other classes than .*'garments'"):
            build(content, metainfo=metainfo)
    dataset = build(content, metainfo=dict(classes=list(garments.classes), palette=[(0, 0, 0)] * 5))
    assert dataset.metainfo['classes'] == garments.classes
    assert dataset.metainfo['palette'] == [(0, 0, 0)] * 5


def test_taxonomy_from_the_file_itself(content, build, tmp_path):
    for row in content['categories']:
        row['supercategory'] = {'shirt': 'top', 'vest': 'top', 'hat': 'none'}.get(
            row['name'], 'bottom'
        )
    dataset = build(content, taxonomy=str(tmp_path / 'train.json'), lazy_init=True)
    assert dataset.taxonomy.group_names(0) == ('top', 'bottom', 'hat')
    assert dataset.get_cat_ids(0) == [0, 2]


def test_lazy_subsets_and_copies(content, build):
    whole = build(content)
    lazy = build(content, lazy_init=True)
    assert not lazy._fully_initialized and lazy.metainfo == whole.metainfo
    assert samples(lazy) == samples(whole)
    assert list(samples(build(content, indices=2))) == [11, 12]
    assert list(samples(build(content, indices=[2, 0], serialize_data=False))) == [13, 11]
    assert list(samples(whole.get_subset([1]))) == [12]
    assert samples(copy.deepcopy(whole)) == samples(pickle.loads(pickle.dumps(whole)))
    lazy = pickle.loads(pickle.dumps(build(content, lazy_init=True)))
    assert samples(lazy) == samples(whole) and lazy.box_counts == whole.box_counts


def test_metainfo_survives_a_checkpoint(content, build, garments, tmp_path):
    metainfo = build(content).metainfo
    torch.save(dict(meta=dict(dataset_meta=metainfo)), tmp_path / 'a.pth')
    loaded = torch.load(tmp_path / 'a.pth', weights_only=True)['meta']['dataset_meta']
    assert loaded == metainfo == taxonomy_metainfo(garments)
    assert Taxonomy.load(loaded['taxonomy']) == garments
    assert loaded['palette'] == class_palette(garments)


def test_wrappers(content, build):
    part = build(content)
    repeated = DATASETS.build(dict(type='RepeatDataset', dataset=part, times=2))
    assert len(repeated) == 6 and repeated.metainfo == part.metainfo
    joined = DATASETS.build(dict(type='ConcatDataset', datasets=[part, build(content)]))
    assert len(joined) == 6 and joined.metainfo == {**part.metainfo, 'cumulative_sizes': [3, 6]}
    balanced = DATASETS.build(dict(type='ClassBalancedDataset', dataset=part, oversample_thr=3.0))
    assert balanced.metainfo == part.metainfo
    # Every class is on 1 of 3 images: sqrt(3 / (1 / 3)) = 3 times each.
    assert len(balanced) == 9 and balanced.get_cat_ids(0) == [0, 2]
    # What the preflight check prints: boxes of the files, once for each file.
    assert box_counts(repeated) == box_counts(balanced) == [1, 1, 1, 1, 2]
    assert box_counts(joined) == [2, 2, 2, 2, 4]


@pytest.mark.parametrize('context', ['fork', 'spawn'])
def test_loader_workers(content, build, context):
    dataset = build(content, pipeline=PIPELINE)
    loader = DataLoader(
        dataset,
        batch_size=2,
        num_workers=1,
        collate_fn=pseudo_collate,
        multiprocessing_context=context,
    )
    batches = list(loader)
    labels = [
        sample.gt_instances.labels.tolist() for batch in batches for sample in batch['data_samples']
    ]
    assert labels == [[0, 2], [1, 4, 4], [3]]


BROKEN = {
    'missing': (None, 'no such image'),
    'empty': (b'', 'not a readable image (an empty file)'),
    'text': (b'<html>not found</html>', 'not a readable image (neither a JPEG nor a PNG)'),
    'truncated': (
        b'\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x28\0\0\0\x1e\x08\x02\0\0\0' + bytes(20),
        'cut off before its end',
    ),
    'folder': ('folder', 'no such image'),
}


@pytest.mark.parametrize(
    ('kind', 'workers'), [*((kind, 0) for kind in BROKEN), ('missing', 2), ('empty', 2)]
)
def test_image_that_cannot_be_read_is_named(content, build, tmp_path, kind, workers):
    dataset = build(content, pipeline=PIPELINE)
    path = tmp_path / 'photos' / '12.png'
    path.unlink()
    if kind == 'folder':
        path.mkdir()
    elif kind != 'missing':
        path.write_bytes(BROKEN[kind][0])
    batches = iter(DataLoader(dataset, num_workers=workers, collate_fn=pseudo_collate))
    with pytest.raises(AnnotationError) as caught:
        list(batches)
    for worker in getattr(batches, '_workers', ()):
        worker.terminate()  # torch would wait 5 seconds for each
    assert one_line(caught.value) == (
        f'{path}: {BROKEN[kind][1]}; replace it, or remove its entry from {tmp_path}/train.json'
    )


def test_other_errors_of_a_pipeline_are_left_alone(content, build):
    def fail(results):
        raise KeyError('no such key')

    with pytest.raises(KeyError, match='no such key'):
        build(content, pipeline=[*LOAD, fail])[0]


def test_images_elsewhere_are_not_looked_for(content, build, write, tmp_path):
    write(content)
    shutil.rmtree(tmp_path / 'photos')

    def fail(results):
        raise OSError('bucket is gone')

    config = dict(
        lazy_init=True,
        backend_args=dict(backend='local'),
        data_prefix=dict(img='nowhere'),
        pipeline=[fail],
    )
    with pytest.raises(OSError, match='bucket is gone'):
        build(content, **config)[0]


@pytest.mark.parametrize(('split', 'images', 'boxes'), [('train', 704, 3708), ('val', 150, 768)])
def test_real_photos(ccp, split, images, boxes):
    taxonomy = Taxonomy.load(ccp / 'train.json')
    dataset = SuperclassCocoDataset(
        f'{split}.json',
        taxonomy=taxonomy,
        data_root=str(ccp),
        data_prefix=dict(img='photos/'),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        test_mode=split == 'val',
        pipeline=PIPELINE,
    )
    assert (len(dataset), sum(dataset.box_counts), taxonomy.num_classes) == (images, boxes, 44)
    assert taxonomy.num_groups(0) == 11
    if split == 'train':
        assert dataset.box_counts[taxonomy.label_of('shoes')] == 550
        assert dataset.box_counts[taxonomy.label_of('sneakers')] == 6
    sample = dataset[0]
    height, width = sample['data_samples'].ori_shape
    info = dataset.get_data_info(0)
    assert sample['inputs'].shape == (3, height, width) == (3, info['height'], info['width'])
    box = sample['data_samples'].gt_instances.bboxes.tensor.numpy()
    assert np.all(box[:, 2:] > box[:, :2])
