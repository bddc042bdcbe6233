"""Test data of an exported config: MMDetection's CocoDataset and CocoMetric on the same file.

Both number labels in the order of the file's categories, whatever order `metainfo` has. Where that
is not the order of the classes, a copy in the right order goes next to the config.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmcv.transforms import Compose

from mmdet_multigrain.coco.annotations import AnnotationFile
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ExportError
from mmdet_multigrain.utils.files import dump_json, write_whole

ANNOTATIONS = 'annotations.json'
_STOCK = ('mmdet', 'mmcv', 'mmengine')


def stock_data(
    cfg: Mapping[str, Any], *, taxonomy: Taxonomy, palette: list, folder: Path
) -> tuple[dict[str, Any], str]:
    """Test data for a config of stock parts; may write a copy of the annotations.

    Args:
        cfg: The config that is exported.
        taxonomy: Classes in label order, and what else the annotations may call them.
        palette: A color of each class.
        folder: Where the copy goes, if one is needed.

    Returns:
        The entries that test: `test_dataloader`, with annotations also `test_evaluator` and
        `test_cfg`. And one line on the annotations.

    Raises:
        ExportError: The test pipeline has transforms that MMDetection lacks.
        ValueError: The annotation file cannot be used.
    """
    classes = taxonomy.classes
    loader = cfg['test_dataloader']
    given, workers = loader['dataset'], loader.get('num_workers', 0)
    metainfo, pipeline = dict(classes=classes, palette=palette), _pipeline(given)
    dataset = dict(type='CocoDataset', metainfo=metainfo, test_mode=True, pipeline=pipeline)
    check_pipeline(pipeline)
    test_dataloader = dict(
        batch_size=loader.get('batch_size', 1),
        num_workers=workers,
        persistent_workers=workers > 0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dataset,
    )
    path = os.path.join(given.get('data_root') or '', given.get('ann_file') or '')
    if not given.get('ann_file') or not Path(path).is_file():
        missing = path if given.get('ann_file') else 'of one COCO file'
        note = f'no test data: annotations {missing} do not exist'
        return dict(test_dataloader=test_dataloader), note
    file = AnnotationFile(path, taxonomy=taxonomy, allow_missing=True, allow_unknown=True)
    note = f'test data: {path}'
    # The category ids that CocoDataset takes for labels 0, 1, ...
    stock_ids = [item['id'] for item in file.dataset['categories'] if item['name'] in classes]
    if file.notes or stock_ids != file.category_ids:
        ids = zip(file.category_ids, classes, strict=True)
        categories = [dict(id=number, name=name) for number, name in ids]
        content = dump_json({**file.dataset, 'categories': categories})
        write_whole(folder / ANNOTATIONS, content)
        # MMEngine puts the config's own folder here.
        path = '{{ fileDirname }}/' + ANNOTATIONS
        note = f'test data: {ANNOTATIONS}, a copy with the categories in the order of the classes'
    else:
        path = os.path.abspath(path)
    dataset |= dict(
        ann_file=path,
        data_root=given.get('data_root') or '',
        data_prefix=given.get('data_prefix', dict(img='')),
    )
    entries = dict(
        test_dataloader=test_dataloader,
        test_evaluator=dict(type='CocoMetric', ann_file=path, metric='bbox'),
        test_cfg=dict(type='TestLoop'),
    )
    return entries, note


def _pipeline(dataset: Mapping[str, Any]) -> Any:
    """The pipeline of a data set, or of the first one in it, as `get_test_pipeline_cfg` finds it."""
    while 'pipeline' not in dataset:
        inner = [dataset['dataset']] if 'dataset' in dataset else dataset.get('datasets')
        if not inner:
            return []
        dataset = inner[0]
    return dataset['pipeline']


def check_pipeline(pipeline: Any) -> None:
    """Refuse a pipeline with transforms that stock MMDetection lacks."""
    for transform in Compose(pipeline).transforms:
        kind = type(transform)
        if kind.__module__.partition('.')[0] not in _STOCK:
            raise ExportError(
                f'the test pipeline has {kind.__name__} of {kind.__module__}, which MMDetection '
                'lacks; export with a config whose test pipeline is stock'
            )
