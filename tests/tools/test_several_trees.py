"""A taxonomy of two trees, as the docs show it: written in full, trained with, hedged along either."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from mmdet_multigrain.configs import config_folder
from mmdet_multigrain.taxonomy import Taxonomy

from ..doc_blocks import block, blocks
from .conftest import Trained, call, options


@pytest.fixture(scope='module')
def two_trees() -> Taxonomy:
    """The example of the docs."""
    (found,) = (b for b in blocks('yaml') if 'trees:' in b.text and b.page.name == 'taxonomy.md')
    return Taxonomy.load(yaml.safe_load(found.text))


@pytest.fixture(scope='module')
def run(tmp_path_factory, garment_data, two_trees) -> Trained:
    """One iteration on drawn garments, and a validation."""
    folder = tmp_path_factory.mktemp('trees')
    source, config = folder / 'groups.yaml', folder / 'mine.py'
    source.write_text(yaml.safe_dump(two_trees.to_dict(), sort_keys=False))
    written = call('make_taxonomy', '--from', 'yaml', source, '--out', folder / 'garments.yaml')
    assert written.status == 0 and written.err.startswith(
        'garments: 13 classes, 2 trees (kind, sleeves), 6 groups, 3 levels, 0 classes without a group'
    )
    assert Taxonomy.load(folder / 'garments.yaml') == two_trees
    text = block('docs/taxonomy.md', '_base_').replace('CONFIGS', str(config_folder()))
    config.write_text(text.replace("'garments.yaml'", repr(str(folder / 'garments.yaml'))))
    short = ['train_cfg.max_iters=1', 'train_cfg.val_interval=1']
    screen = call(
        'train', config, '--seed', 0, '--work-dir', folder / 'work', *options(garment_data, *short)
    )
    assert screen.status == 0, screen.err
    return Trained(folder, folder / 'work' / 'iter_1.pth', screen)


def test_training(run, two_trees):
    out = run.screen.out
    assert re.search(r'label  class +kind +sleeves +boxes', out)
    assert re.search(r' 0  short sleeve top +top +short sleeves ', out)
    assert re.search(r'  shorts +bottom +shorts ', out)  # no group among the sleeves
    (losses,) = run.screen.losses
    for name in ('level0', 'level1', 'fine'):
        assert re.search(rf' loss_cls_{name}: \d', losses) and f' acc_{name}: ' in losses
    assert 'level 0 (kind) group' in out and 'level 1 (sleeves) group' in out
    (scalars,) = run.work_dir.glob('work/*/vis_data/scalars.json')
    assert {'coco/bbox_level0_mAP', 'coco/bbox_level1_mAP'} <= json.loads(
        scalars.read_text().splitlines()[-1]
    ).keys()


def test_hedging_along_either_tree(run, two_trees, garment_data, tmp_path):
    (image, *_) = sorted((garment_data / 'validation' / 'image').iterdir())
    for tree in two_trees.trees:
        out, key = tmp_path / tree, f'main_tree={tree}'
        result = call(
            *('predict', image, run.work_dir / 'mine.py', run.checkpoint, '--out', out),
            *('--no-pictures', '--hedge', 0.3, '--score-thr', 0, *options(garment_data, key)),
        )
        assert result.status == 0, result.err
        (found,) = json.loads((out / 'predictions.json').read_text())['images']
        assert found['detections']
        for detection in found['detections']:
            group = two_trees.tree(tree).superclass_of(detection['class'])
            assert [level['name'] for level in detection['levels']] == [detection['class'], group]


def test_check_dataset(run, garment_data):
    train, groups = garment_data / 'annotations' / 'train.json', run.work_dir / 'garments.yaml'
    found = call('check_dataset', train, '--taxonomy', groups)
    assert '13 classes in 3 of kind, 6 of sleeves' in found.out, found.err
