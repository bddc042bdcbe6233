"""Labels of an exported config are those of the detector, whatever order the file has."""

from __future__ import annotations

import json

import pytest
from mmcv.transforms import BaseTransform
from mmdet.registry import DATASETS, METRICS, TRANSFORMS
from mmengine.config import Config

from mmdet_multigrain.export.stock_data import ANNOTATIONS, stock_data
from mmdet_multigrain.utils.errors import ExportError

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(64, 64), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs'),
]


@TRANSFORMS.register_module()
class OurOwnTransform(BaseTransform):
    """A transform that MMDetection lacks."""

    def transform(self, results: dict) -> dict:
        return results


def annotations(path, names):
    """One image with one box of each category; box widths tell the categories' names."""
    content = dict(
        images=[dict(id=1, file_name='a.jpg', height=50, width=60)],
        categories=[dict(id=10 + place, name=name) for place, name in enumerate(names)],
        annotations=[
            dict(id=1 + place, image_id=1, category_id=10 + place, iscrowd=0,
                 bbox=[0, 0, len(name), 5], area=5 * len(name))
            for place, name in enumerate(names)
        ],
    )  # fmt: skip
    path.write_text(json.dumps(content))


def exported_data(garments, tmp_path, ann_file='val.json', pipeline=PIPELINE):
    loader = dict(
        batch_size=4,
        num_workers=2,
        dataset=dict(
            type='SuperclassCocoDataset', taxonomy='x', data_root=f'{tmp_path}/',
            ann_file=ann_file, data_prefix=dict(img='photos/'), pipeline=pipeline,
        ),
    )  # fmt: skip
    folder = tmp_path / 'out'
    folder.mkdir()
    palette = [(0, 0, label) for label in range(5)]
    return folder, stock_data(
        dict(test_dataloader=loader), taxonomy=garments, palette=palette, folder=folder
    )


def labels_as_read(folder, entries):
    """(label, box width) of each box, as stock CocoDataset reads them from the exported config."""
    (folder / 'detector.py').write_text(Config(entries).pretty_text)
    cfg = Config.fromfile(folder / 'detector.py')
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    instances = dataset.get_data_info(0)['instances']
    metric = METRICS.build(cfg.test_evaluator)
    metric.dataset_meta = dataset.metainfo
    assert dataset.metainfo['palette'][1] == (0, 0, 1)
    return dataset, {(item['bbox_label'], item['bbox'][2]) for item in instances}


@pytest.mark.parametrize(
    ('names', 'copied'),
    [
        (['shirt', 'skirt', 'vest', 'hat', 'shorts'], False),
        (['shirt', 'unknown', 'skirt', 'vest', 'hat', 'shorts'], True),  # its boxes go
        (['vest', 'hat', 'shorts', 'skirt', 'shirt'], True),
        (['hat', 'shirt', 'shorts'], True),  # two classes are missing
    ],
)
def test_labels_are_those_of_the_classes(names, copied, garments, tmp_path):
    annotations(tmp_path / 'val.json', names)
    folder, (entries, note) = exported_data(garments, tmp_path)
    assert (folder / ANNOTATIONS).exists() == copied
    assert ('a copy' in note) == copied
    dataset, seen = labels_as_read(folder, entries)
    expected = {(label, len(name)) for label, name in enumerate(garments.classes) if name in names}
    assert seen == expected
    assert type(dataset).__name__ == 'CocoDataset' and dataset.metainfo['classes'] == (
        garments.classes
    )
    assert dataset.get_data_info(0)['img_path'] == f'{tmp_path}/photos/a.jpg'


def test_without_annotations_there_is_no_evaluator(garments, tmp_path):
    _, (entries, note) = exported_data(garments, tmp_path)
    assert set(entries) == {'test_dataloader'}
    assert note == f'no test data: annotations {tmp_path}/val.json do not exist'
    dataset = dict(entries['test_dataloader']['dataset'], lazy_init=True)
    assert DATASETS.build(dataset).metainfo['classes'] == garments.classes


def test_the_loader_is_that_of_the_config(garments, tmp_path):
    annotations(tmp_path / 'val.json', list(garments.classes))
    _, (entries, note) = exported_data(garments, tmp_path)
    loader = dict(entries['test_dataloader'])
    dataset = loader.pop('dataset')
    assert loader == dict(
        batch_size=4,
        num_workers=2,
        persistent_workers=True,
        sampler=dict(type='DefaultSampler', shuffle=False),
    )
    path = str(tmp_path / 'val.json')
    assert dataset['test_mode'] is True and dataset['pipeline'] == PIPELINE
    assert (dataset['ann_file'], dataset['data_root']) == (path, f'{tmp_path}/')
    assert dataset['data_prefix'] == dict(img='photos/')
    assert entries['test_evaluator'] == dict(type='CocoMetric', ann_file=path, metric='bbox')
    assert entries['test_cfg'] == dict(type='TestLoop')
    assert note == f'test data: {path}'


def test_a_loader_without_workers_and_paths(garments, tmp_path, monkeypatch):
    annotations(tmp_path / 'val.json', list(garments.classes))
    monkeypatch.chdir(tmp_path)
    options = dict(taxonomy=garments, palette=[], folder=tmp_path)
    loader = dict(dataset=dict(ann_file='val.json'))
    entries = stock_data(dict(test_dataloader=loader), **options)[0]
    found = entries['test_dataloader']
    assert (found['batch_size'], found['num_workers'], found['persistent_workers']) == (1, 0, False)
    assert found['dataset']['ann_file'] == str(tmp_path / 'val.json')
    assert found['dataset']['data_root'] == '' and found['dataset']['data_prefix'] == dict(img='')
    entries, note = stock_data(dict(test_dataloader=dict(dataset={})), **options)
    assert note == 'no test data: annotations of one COCO file do not exist'
    assert {*entries} == {'test_dataloader'}


def test_the_pipeline_of_data_sets_in_others(garments, tmp_path):
    options = dict(taxonomy=garments, palette=[], folder=tmp_path)
    inner = dict(type='CocoDataset', ann_file='val.json', pipeline=PIPELINE)
    both = dict(type='ConcatDataset', datasets=[dict(type='RepeatDataset', dataset=inner), inner])
    entries, note = stock_data(dict(test_dataloader=dict(dataset=both)), **options)
    assert entries['test_dataloader']['dataset']['pipeline'] == PIPELINE
    assert note == 'no test data: annotations of one COCO file do not exist'


def test_a_pipeline_of_others_is_refused(garments, tmp_path):
    pipeline = [*PIPELINE, dict(type='OurOwnTransform')]
    with pytest.raises(ExportError, match='OurOwnTransform of .*, which MMDetection lacks'):
        exported_data(garments, tmp_path, pipeline=pipeline)
