"""Training boxes of classes: where they are found, and a checkpoint that has them."""

from __future__ import annotations

import json

import pytest
import torch
from mmengine.config import Config

from mmdet_multigrain.engine.checkpoint.class_counts import find_counts, write_counts
from mmdet_multigrain.engine.checkpoint.read import read_checkpoint
from mmdet_multigrain.engine.fingerprints import file_digest
from mmdet_multigrain.utils.errors import CheckpointError


@pytest.fixture
def cfg(garments, tmp_path):
    """Two training files, the first with three boxes and the second with one."""
    names = enumerate(garments.classes, start=1)
    content = dict(
        images=[dict(id=1, file_name='a.jpg', width=90, height=90)],
        categories=[dict(id=number, name=name) for number, name in names],
    )
    datasets = []
    for file, labels in (('a.json', (1, 1, 5)), ('b.json', (2,))):
        boxes = [
            dict(id=n, image_id=1, category_id=id, bbox=[9 * n, 5, 20, 20], area=400, iscrowd=0)
            for n, id in enumerate(labels, start=1)
        ]
        (tmp_path / file).write_text(json.dumps({**content, 'annotations': boxes}))
        datasets.append(dict(type='SuperclassCocoDataset', data_root=str(tmp_path), ann_file=file))
    return Config(
        dict(train_dataloader=dict(dataset=dict(type='ConcatDataset', datasets=datasets)))
    )


def trained_on(*files):
    annotations = [file_digest(file) for file in files]
    return dict(state_dict={}, meta=dict(exact_resume=dict(annotations=annotations)))


def test_all_files_of_the_training_count(cfg, garments, tmp_path):
    files = tmp_path / 'a.json', tmp_path / 'b.json'
    found = find_counts(cfg, garments, trained_on(*files), name='c.pth')
    assert found == ([2, 1, 0, 0, 1], f'{files[0]}, {files[1]}')
    counts, source = find_counts(cfg, garments, dict(state_dict={}), name='c.pth')
    assert counts == found[0] and source.endswith(
        '(it does not say whether it was trained on them)'
    )


def test_other_files(cfg, garments, tmp_path):
    for checkpoint, problem in (
        (trained_on(tmp_path / 'a.json'), 'it was not trained on'),
        (trained_on(), 'it was not trained on'),
    ):
        with pytest.raises(CheckpointError, match=f'^c.pth: does not say .* {problem}') as error:
            find_counts(cfg, garments, checkpoint, name='c.pth')
        assert '\n' not in str(error.value)
    (tmp_path / 'b.json').unlink()
    for config in (cfg, Config({})):
        with pytest.raises(CheckpointError, match='there is no training file'):
            find_counts(config, garments, trained_on(), name='c.pth')


def test_a_checkpoint_keeps_them(garments, tmp_path):
    heads = ['roi_head.bbox_head.0', 'roi_head.bbox_head.1']
    record = dict(counts=[2, 1, 0, 0, 1], source='a.json')
    content = dict(state_dict=dict(weight=torch.ones(2)), meta=dict(iter=3))
    write_counts(content, tmp_path / 'out.pth', heads, record)
    written = read_checkpoint(str(tmp_path / 'out.pth'))
    assert written['meta'] == dict(iter=3, class_counts=record)
    names = [f'{head}.loss_cls.fusion.class_counts' for head in heads]
    assert [*written['state_dict']] == ['weight', *names]
    assert all(written['state_dict'][name].tolist() == record['counts'] for name in names)
    found = find_counts(Config({}), garments, written, name='c.pth')
    assert found == (record['counts'], 'the checkpoint')
