"""Data sets that annotate only some classes: what their samples carry, and their counts."""

import pickle

import pytest
from mmdet.registry import DATASETS

from mmdet_multigrain.coco.unannotated import UNANNOTATED
from mmdet_multigrain.taxonomy import TaxonomyError

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs'),
]


def left_out(sample):
    return [*sample['data_samples'].metainfo[UNANNOTATED]]


def test_samples_carry_what_is_left_out(content, build):
    dataset = build(content, annotated=['top', 'hat'], pipeline=PIPELINE)
    assert [left_out(sample) for sample in dataset] == [[1, 4]] * 3
    assert dataset.annotated_counts == [3, 0, 3, 3, 0]
    assert UNANNOTATED not in dataset.metainfo  # ConcatDataset would make a list of it
    samples = pickle.loads(pickle.dumps(dataset))
    assert left_out(samples[1]) == [1, 4]
    plain = build(content, pipeline=PIPELINE)
    assert plain.annotated_counts is None and not plain.tells_annotated
    assert UNANNOTATED not in plain[0]['data_samples'].metainfo


def test_each_view_of_test_time_augmentation_carries_it(content, build):
    flips = [dict(type='RandomFlip', prob=1.0), dict(type='RandomFlip', prob=0.0)]
    views = dict(type='TestTimeAug', transforms=[flips, [dict(type='PackDetInputs')]])
    dataset = build(content, annotated=['top', 'hat'], pipeline=[PIPELINE[0], views])
    samples = dataset[0]['data_samples']
    assert [[*sample.metainfo[UNANNOTATED]] for sample in samples] == [[1, 4]] * 2


def test_two_files_in_one_data_set(content, build):
    """Each lacks the categories of the other."""
    parts = []
    for keep, annotated in (((1, 3), ['top']), ((2, 4, 5), ['bottom', 'hat'])):
        part = {key: list(value) for key, value in content.items()}
        part['categories'] = [c for c in part['categories'] if c['id'] in keep]
        part['annotations'] = [a for a in part['annotations'] if a['category_id'] in keep]
        parts.append(build(part, annotated=annotated, pipeline=PIPELINE))
        with pytest.raises(TaxonomyError, match='not among the categories'):
            build(part)
        with pytest.raises(TaxonomyError, match='no category for . of the classes that annotated'):
            build(part, annotated=['top', 'bottom'])
    both = DATASETS.build(dict(type='ConcatDataset', datasets=parts))
    assert [left_out(both[i]) for i in (0, 3)] == [[1, 3, 4], [0, 2]]


def test_facts_of_images_as_lvis_has_them(content, build):
    content['images'][0]['neg_category_ids'] = [4]
    content['images'][1]['not_exhaustive_category_ids'] = [5]
    content['images'][2]['neg_category_ids'] = []
    dataset = build(content, annotated='per_image', pipeline=PIPELINE)
    assert [left_out(sample) for sample in dataset] == [[1, 4], [4], [0, 1, 2, 4]]
    assert dataset.annotated_counts == [2, 1, 2, 3, 0]
    assert dataset.tells_annotated and build(content).tells_annotated


def test_what_images_tell_is_not_worked_out_if_it_does_not_count(content, build, monkeypatch):
    content['images'][0]['neg_category_ids'] = [4]
    name = 'mmdet_multigrain.datasets.superclass_coco.unannotated_classes'
    monkeypatch.setattr(name, lambda file: pytest.fail('hundreds of classes for each image'))
    assert build(content).tells_annotated and build(content, annotated=['top']).tells_annotated


def test_another_image_brings_its_own_facts(content, build, write):
    """A broken image is replaced."""
    content['images'][2]['neg_category_ids'] = []
    dataset = build(
        content, annotated='per_image', pipeline=PIPELINE, on_bad_image='skip', indices=[0, 2]
    )
    dataset._rand_another = lambda: 1
    with open(dataset.get_data_info(0)['img_path'], 'wb') as file:
        file.write(b'no image')
    sample = dataset[0]
    assert sample['data_samples'].img_id == 13 and left_out(sample) == [0, 1, 2, 4]
