"""tools/analysis_tools/sweep_scores.py: what it swept is what tools/test.py gives, and refusals."""

from __future__ import annotations

import argparse
import itertools
import json
import runpy
import shlex
import shutil

import numpy as np
import pytest

from benchmarks.experiments.choice import condense
from mmdet_multigrain.apis import roi_outputs
from mmdet_multigrain.apis.roi_outputs import DESCRIPTION
from mmdet_multigrain.apis.score_sweep import ScoreSweep
from mmdet_multigrain.engine.checkpoint.read import read_checkpoint
from mmdet_multigrain.evaluation import read_result

from .conftest import REPOSITORY, call, options
from .test_export import sharpened

TOOL = 'analysis_tools/sweep_scores'
HEAD = 'model.roi_head.bbox_head.fusion'


@pytest.fixture(scope='module')
def swept(tmp_path_factory, config, trained, garment_data):
    """Folder and screen of a sweep; the checkpoint `sharp.pth`, and `counts.pth` with counts."""
    folder = tmp_path_factory.mktemp('swept')
    checkpoint = sharpened(trained.checkpoint, folder)
    shown = sweep(config, checkpoint, folder, garment_data)
    assert shown.status == 0, shown.err
    return folder, shown


def sweep(config, checkpoint, folder, data, *more, out_checkpoint=True):
    arguments = ['--out', folder / 'sweep', '--gammas', 0.5, '--count-gammas', 0.4]
    arguments += ['--resamples', 20, *more]
    if out_checkpoint:
        arguments += ['--out-checkpoint', folder / 'counts.pth', '--force']
    return call(TOOL, config, checkpoint, *arguments, *options(data))


def content(folder):
    return json.loads((folder / 'sweep' / 'sweep.json').read_text())


@pytest.mark.parametrize(
    ('name', 'checkpoint', 'overrides'),
    [
        ('off', 'sharp', []),
        ('ConditionalFusion 0.5', 'sharp', ['type=ConditionalFusion', 'gamma=0.5']),
        ('ProductFusion 0.5', 'sharp', ['type=ProductFusion', 'gamma=0.5']),
        ('NorCal 0.4 none', 'counts', ['type=NorCal', 'gamma=0.4', 'center=none']),
        (
            'NorCal 0.4 in groups after ProductFusion 0.5',
            'counts',
            'type=NorCal gamma=0.4 within_groups=True fusion.type=ProductFusion '
            'fusion.gamma=0.5'.split(),
        ),
    ],
)
def test_a_test_gives_the_same(swept, config, garment_data, tmp_path, name, checkpoint, overrides):
    folder, _ = swept
    out = tmp_path / 'result.json'
    tested = call(
        'test',
        config,
        folder / f'{checkpoint}.pth',
        '--work-dir',
        tmp_path / 'work',
        '--out',
        out,
        *options(garment_data, *(f'{HEAD}.{one}' for one in overrides)),
    )
    assert tested.status == 0, tested.err
    summary = read_result(out).summary
    row = next(row for row in content(folder)['fusions'] if row['name'] == name)
    numbers = row['numbers']['100/100']
    assert summary.num_detections > 100
    assert numbers == {
        'AP': summary.fine.coco['AP'],
        'AP50': summary.fine.coco['AP50'],
        'rare_AP': summary.tail.ap,
        'superclass_AP': summary.levels[0].coco['AP'],
    }


def test_what_it_shows_and_writes(swept, config, trained):
    folder, shown = swept
    written = content(folder)
    assert len(written['fusions']) == 3 * 3 + 2  # NorCal alone has three centers
    assert {*written['cross_fitting']} == {
        'all', 'ConditionalFusion alone', 'ProductFusion alone', 'NorCal alone'
    }  # fmt: skip
    assert all(-1 <= one['gain'] <= 1 for one in written['cross_fitting'].values())
    assert '7 images, up to 100 each' in shown.out and 'MB' in shown.out
    best = written['best_on_all']
    assert best['name'] in shown.out
    highest = max(row['numbers']['100/100']['AP'] for row in written['fusions'])
    row = next(row for row in written['fusions'] if row['name'] == best['name'])
    assert row['numbers']['100/100']['AP'] == highest
    row['numbers']['100/100']['set_rare_AP'] = 0.25  # the test has no class sets
    kept = condense(written | dict(fusions=[row]), 'rare AP')['fusions'][best['name']]
    assert kept == {'AP': round(100 * highest, 2), 'rare AP': 25}
    counts = read_checkpoint(str(folder / 'counts.pth'))
    buffer = counts['state_dict']['roi_head.bbox_head.loss_cls.fusion.class_counts']
    assert buffer.tolist() == counts['meta']['class_counts']['counts'] and buffer.sum() > 10


def test_the_command_that_it_prints(swept, config, garment_data, tmp_path, monkeypatch):
    """It gives the numbers of the last fusion, which is made the best here."""
    folder, _ = swept
    shutil.copytree(folder / 'sweep', tmp_path / 'my sweep' / 'sweep')
    numbers, calls = ScoreSweep.numbers, itertools.count()

    def raised(self, found):
        found, more = numbers(self, found), next(calls)
        return {limits: {**one, 'AP': one['AP'] + more} for limits, one in found.items()}

    monkeypatch.setattr(ScoreSweep, 'numbers', raised)
    shown = sweep(config, folder / 'sharp.pth', tmp_path / 'my sweep', garment_data)
    assert shown.status == 0, shown.err
    *above, last = shown.out.splitlines()
    assert not any('the numbers are of' in line for line in above)  # test data are validation data
    python, tool, *arguments = shlex.split(last)
    assert (python, tool) == ('python', 'tools/test.py')
    out = tmp_path / 'result.json'
    tested = call('test', *arguments, f'work_dir={tmp_path}', '--out', out)
    assert tested.status == 0, tested.err
    row = content(folder)['fusions'][-1]
    assert row['name'] == content(tmp_path / 'my sweep')['best_on_all']['name']
    assert read_result(out).summary.fine.coco['AP'] == row['numbers']['100/100']['AP']


def test_the_command_of_other_data():
    tool = runpy.run_path(str(REPOSITORY / 'tools' / f'{TOOL}.py'))
    text = ['data_root=my data', 'model.test_cfg.rcnn.max_per_img=300']
    args = argparse.Namespace(config='my config.py', checkpoint='best.pth', cfg_options_text=text)
    evaluator = argparse.Namespace(ann_file='val.json')
    cfg = {'test_evaluator': {'ann_file': 'test.json'}}
    best = {'fusion': {'type': 'ProductFusion', 'gamma': 0.5}}
    shown = tool['command_of'](args, cfg, evaluator, best, ['a=[1,2]'])
    assert shown == (
        'the numbers are of val.json; let test_dataloader and test_evaluator use it (test_ann), too, '
        "for this command:\npython tools/test.py 'my config.py' best.pth --cfg-options "
        "'data_root=my data' model.test_cfg.rcnn.max_per_img=300 'a=[1,2]'"
    )


@pytest.mark.parametrize('value', ['None', 'type=ProductFusion'])
def test_a_fusion_of_the_config(config, trained, garment_data, tmp_path, value):
    """What --cfg-options set would be merged into it, or cannot be set where it is None."""
    fusion = f'{HEAD}.{value}' if '=' in value else f'{HEAD}={value}'
    out = ['--out', tmp_path / 'sweep']
    shown = call(TOOL, config, trained.checkpoint, *out, *options(garment_data, fusion))
    assert shown.error() == (
        f'error: {HEAD} is set: the sweep tries its own, and its --cfg-options would be merged into '
        'this one; leave it out'
    )


def test_nothing_runs_twice(swept, config, garment_data):
    folder, _ = swept
    before = content(folder)
    shown = sweep(config, folder / 'sharp.pth', folder, garment_data, out_checkpoint=False)
    assert shown.status == 0 and 'up to 100 each' not in shown.out
    after = content(folder)
    for one in (before, after):
        one.pop('seconds_per_fusion')
    assert after == before


def test_an_interrupted_run_continues(swept, config, garment_data, tmp_path):
    folder, _ = swept
    shutil.copytree(folder / 'sweep', tmp_path / 'sweep')
    rois = tmp_path / 'sweep' / 'rois'
    counts = np.load(rois / 'counts.npy', mmap_mode='r+')
    counts[5:] = -1
    counts.flush()
    for name in ('logits', 'boxes'):
        np.load(rois / f'{name}.npy', mmap_mode='r+')[5:] = np.nan
    shown = sweep(config, folder / 'sharp.pth', tmp_path, garment_data, out_checkpoint=False)
    assert shown.status == 0, shown.err
    assert '5/7' in shown.err
    for name in ('counts', 'logits', 'boxes'):
        arrays = [np.load(at / 'sweep/rois' / f'{name}.npy') for at in (folder, tmp_path)]
        count = int(counts.min())
        assert np.array_equal(*(array[:, :count] if array.ndim > 1 else array for array in arrays))


def test_how_an_interrupted_run_continues(swept, config, garment_data, tmp_path, monkeypatch):
    """The checkpoint with counts is written before the detector runs."""
    folder, _ = swept

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(roi_outputs, 'read_roi_outputs', interrupted)
        shown = sweep(config, folder / 'sharp.pth', tmp_path, garment_data)
    assert shown.status == 130 and (tmp_path / 'counts.pth').is_file()
    assert shown.err.endswith(
        'the same command continues (add --force if it has --out-checkpoint)\n'
    )


def test_of_another_checkpoint(swept, config, trained, garment_data):
    folder, _ = swept
    shown = sweep(config, trained.checkpoint, folder, garment_data, out_checkpoint=False)
    assert shown.error().endswith(
        'holds the RoIs of another test (its checkpoint differs); name another folder, or make it '
        'again (--force)'
    )


def test_counts_of_other_data(swept, config, garment_data, tmp_path):
    """The training file has changed since the training."""
    folder, _ = swept
    data = tmp_path / 'data'
    shutil.copytree(garment_data, data)
    (train,) = [path for path in data.rglob('*train*.json')]
    train.write_text(train.read_text() + ' ')
    checkpoint = folder / 'sharp.pth'
    error = sweep(config, checkpoint, tmp_path, data).error()
    assert 'it was not trained on' in error and 'name what it was trained on' in error
    assert not (tmp_path / 'counts.pth').exists()
    shown = sweep(config, checkpoint, tmp_path, data, out_checkpoint=False)
    assert shown.status == 0 and 'without them there is no NorCal' in shown.out
    assert not any('NorCal' in row['name'] for row in content(tmp_path)['fusions'])


@pytest.mark.parametrize(
    ('variant', 'more', 'message'),
    [
        ('merged', [], 'box heads of type MergedBBoxHead; only the scores of a detector with Mult'),
        ('wgroup', ['test_level=coarse'], "test_level='coarse': scores of classes are tuned"),
    ],
)
def test_refusals(repository, trained, garment_data, tmp_path, variant, more, message):
    config = repository / 'configs' / 'multigrain' / f'{variant}_r18_fpn_synthetic.py'
    out = ['--out', tmp_path / 'sweep']
    shown = call(TOOL, config, trained.checkpoint, *out, *options(garment_data, *more))
    assert message in shown.error()
    assert not (tmp_path / 'sweep' / 'rois' / DESCRIPTION).exists()


def test_a_checkpoint_without_counts(config, trained, garment_data, tmp_path):
    more = options(garment_data, f'{HEAD}.type=NorCal')
    shown = call('test', config, trained.checkpoint, '--work-dir', tmp_path, *more)
    assert shown.error().endswith(
        'roi_head.bbox_head.loss_cls.fusion.class_counts is not in the checkpoint (trained on 13 '
        'classes: short sleeve top, long sleeve top, short sleeve outwear, ...); add them with '
        'tools/analysis_tools/sweep_scores.py --out-checkpoint'
    )


def test_training_with_norcal_fills_the_counts_in(config, trained, garment_data, swept, tmp_path):
    more = ['train_cfg.max_iters=1', 'train_cfg.val_interval=1', f'{HEAD}.type=NorCal']
    shown = call('train', config, '--work-dir', tmp_path, *options(garment_data, *more))
    assert shown.status == 0, shown.err
    state = read_checkpoint(str(tmp_path / 'iter_1.pth'))['state_dict']
    counts = read_checkpoint(str(swept[0] / 'counts.pth'))['meta']['class_counts']
    key = 'roi_head.bbox_head.loss_cls.fusion.class_counts'
    assert state[key].tolist() == counts['counts']
