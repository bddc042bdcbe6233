"""Three compositions from training to export: resumed to the bit, tested, exported bit-equal."""

from __future__ import annotations

import json

import pytest

from benchmarks.common.run_equality import differences
from mmdet_multigrain.converters.deepfashion2 import convert
from mmdet_multigrain.engine.checkpoint.read import read_checkpoint

from ..compositions import PRESETS, write_config
from .conftest import call, options

pytestmark = pytest.mark.long
COMPOSITIONS = {
    'cascade': ('cascade', 'seesaw', 'class_aware'),
    'mask': ('mask', 'class_aware'),
    'plain': ('seesaw', 'repeat'),
}
# As SMALL, for heads in one stage or several.
OWN = """
model = dict(roi_head=dict(bbox_head=dict(fc_out_channels=32)))
train_pipeline = _base_.train_pipeline
train_pipeline.insert(2, dict(type='RandomResize', scale=(96, 80), ratio_range=(0.8, 1.2)))
"""


@pytest.fixture(scope='module')
def with_masks(garment_data):
    """The drawn garments, with their masks, next to the files without."""
    for split in ('train', 'validation'):
        out = garment_data / 'masks' / f'{split}.json'
        convert(garment_data, split, out, with_segmentation=True, progress=False)
    return garment_data


@pytest.mark.parametrize('name', COMPOSITIONS)
def test_from_training_to_export(name, with_masks, tmp_path):
    path = tmp_path / 'composed.py'
    text = write_config(path, PRESETS / 'wgroup_r18_fpn_synthetic.py', *COMPOSITIONS[name])
    path.write_text(text + OWN)

    def composed(*more):
        found = options(
            with_masks, 'train_ann=masks/train.json', 'val_ann=masks/validation.json',
            'train_cfg.max_iters=4', 'train_cfg.val_interval=4', *more,
        )  # fmt: skip
        return [one for one in found if 'fc_out_channels' not in one]

    def run(folder, *arguments, more=()):
        result = call('train', path, '--work-dir', tmp_path / folder, *arguments, *composed(*more))
        assert result.status == 0, result.err
        return result

    whole = run('whole', '--seed', 3)
    lines = {'repeat': 'repeat factor', 'class_aware': 'draws of each image'}
    for part, line in lines.items():
        assert (line in whole.out) == (part in COMPOSITIONS[name])
    run('resumed', '--resume', tmp_path / 'whole' / 'iter_2.pth')
    last = [tmp_path / folder / 'iter_4.pth' for folder in ('whole', 'resumed')]
    found = {*differences(*(read_checkpoint(str(path)) for path in last))}
    assert found <= {'message_hub.runtime_info.keep_ckpt_ids'}

    checkpoint = last[1]
    result = call('test', path, checkpoint, '--work-dir', tmp_path / 'test', *composed())
    assert result.status == 0, result.err
    found = json.loads((tmp_path / 'test' / 'result.json').read_text())
    assert len(found['classes']) == 13
    assert ('segm_mAP' in result.out) == (name == 'mask')
    result = call(
        'export', path, checkpoint, '--to', 'mmdet', '--out', tmp_path / 'stock', *composed()
    )
    assert result.status == 0, result.err
    assert 'bit-equal' in result.out
