"""tools/calibrate.py: the file and the screen, and what it refuses before it detects."""

from __future__ import annotations

import json
import re
import runpy
from functools import partial
from unittest import mock

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmdet_multigrain.engine.checkpoint.scoring import scoring_of
from mmdet_multigrain.evaluation.answer_calibration import (
    PARTS,
    WITHOUT_CALIBRATORS,
    AnswerCalibration,
    deal,
)
from mmdet_multigrain.evaluation.answers import AnswerRule
from mmdet_multigrain.evaluation.functional.answer_matching import match_objects
from mmdet_multigrain.evaluation.functional.risk_control import Lineages
from mmdet_multigrain.evaluation.metrics import match_metric
from mmdet_multigrain.taxonomy import Taxonomy

from .conftest import NUM_VAL, REPOSITORY, call, options

ALL = 'model.test_cfg.rcnn.score_thr=0'


def calibrate(*arguments):
    """A detector that has hardly learned finds some object if little overlap is enough."""
    matching = mock.patch.object(
        match_metric, 'match_objects', partial(match_objects, iou_thr=0.05)
    )
    with matching:
        screen = call('calibrate', *arguments)
    assert screen.status == 0, screen.err
    return screen


@pytest.fixture(scope='session')
def calibrated(tmp_path_factory, trained, garment_data, config):
    """One run with all photos that there are; its file and its screen."""
    folder = tmp_path_factory.mktemp('calibrated')
    out = folder / 'new' / 'theta.json'
    screen = calibrate(
        config, trained.checkpoint, '--out', out, '--work-dir', folder / 'work',
        '--accuracy', 0.6, '--score-thr', 0, '--calibrator', 'none', '--deals', 3,
        *options(garment_data, ALL),
    )  # fmt: skip
    return out, screen


def test_the_file(calibrated, trained):
    rule = AnswerRule.load(calibrated[0])
    checkpoint = torch.load(trained.checkpoint, weights_only=False)
    assert rule.checkpoint == scoring_of(trained.checkpoint, checkpoint, {})
    assert rule.taxonomy.num_levels == 2 and rule.taxonomy.num_classes == 13
    assert (rule.accuracy, rule.score_thr, rule.calibrators) == (0.6, 0, ())
    parts = rule.photos['parts']
    assert [parts[part]['photos'] for part in ('calibrators', 'theta', 'check')] == [0, 4, 3]
    assert rule.theta is not None and 0 <= rule.seen['low'] <= rule.seen['wrong']
    assert sum(rule.seen['shares']) == pytest.approx(1)


def test_the_screen(calibrated):
    out, screen = calibrated
    rule = AnswerRule.load(out)
    assert rule.promise in screen.out and 'at most 0.4' in rule.promise
    assert re.search(r'^theta +4 ', screen.out, re.MULTILINE)
    rows = re.findall(r'^(always the class|0\.\d+) .*%$', screen.out, re.MULTILINE)
    assert rows == ['always the class', '0.6', '0.8', '0.9', '0.95'] * 2
    assert 'means over 3 deals of these photos:' in screen.out
    assert re.search(rf'^0\.6 +{rule.theta:.4f} +40\.0%', screen.out, re.MULTILINE)
    assert re.search(r'^0\.95 +- +5\.0% +0\.0% .* 100\.0%$', screen.out, re.MULTILINE)
    assert 'iter_2.pth: its name does not say' in screen.out
    assert screen.out.splitlines()[-1] == f'0.6 -> {out}'


def test_groups_and_fusion_are_in_the_file(trained, garment_data, config, tmp_path):
    """Too few clusters for 90%: the answer is "object", and the reason is on the screen."""
    best = tmp_path / 'best_coco_bbox_mAP_iter_2.pth'
    best.symlink_to(trained.checkpoint)
    screen = calibrate(
        config, best, '--out', tmp_path / 'theta.json', '--split', 'test',
        '--group-by', r'name:(\d)\.jpg', '--score-thr', 0, '--work-dir', tmp_path / 'work',
        *options(garment_data, ALL, 'model.roi_head.bbox_head.fusion.type=ConditionalFusion'),
    )  # fmt: skip
    rule = AnswerRule.load(tmp_path / 'theta.json')
    assert rule.theta is None and '0.9 needs 9 clusters of photos' in rule.reason
    assert rule.reason in screen.out
    assert rule.checkpoint['fusion'] == {'type': 'ConditionalFusion', 'gamma': 1.0}
    assert rule.photos['grouping'] == r'name:(\d)\.jpg'
    assert len(rule.calibrators) == 2
    best_line, fusion_line = rule.photos['chosen']
    assert 'chosen as the best on these photos' in best_line and best_line in screen.out
    assert 'ConditionalFusion' in fusion_line and fusion_line in screen.out
    assert sum(part['photos'] for part in rule.photos['parts'].values()) == NUM_VAL


@pytest.fixture(scope='module')
def tool():
    """The functions of the tool."""
    return runpy.run_path(str(REPOSITORY / 'tools' / 'calibrate.py'))


@pytest.mark.parametrize(
    ('checkpoint', 'fusion', 'lines'),
    [
        ('runs/iter_9.pth', None, ['iter_9.pth: its name does not say']),
        ('runs/best_x.pth', None, ['best_x.pth: chosen as the best on a/val.json, not on these']),
        ('best_x.pth', {'type': 'NorCal'}, ['best_x.pth: chosen', "fusion {'type': 'NorCal'}: "]),
    ],
)
def test_what_was_chosen_on_other_photos(tool, checkpoint, fusion, lines):
    ann_files = dict(val_evaluator='a/val.json', test_evaluator='a/test.json')
    cfg = Config({key: dict(ann_file=ann_file) for key, ann_file in ann_files.items()})
    found = tool['chosen_on'](cfg, dict(name=checkpoint, fusion=fusion))
    assert len(found) == len(lines)
    assert all(line.startswith(start) for line, start in zip(found, lines, strict=True))


@pytest.mark.parametrize(
    'evaluators',
    [
        dict(val_evaluator=dict(ann_file='a/val.json'), test_evaluator=dict(type='MatchMetric')),
        dict(val_evaluator=dict(type='CocoMetric'), test_evaluator=dict(ann_file='a/test.json')),
        dict(val_evaluator=None, test_evaluator=dict(ann_file='a/test.json')),
        dict(test_evaluator=dict(type='MatchMetric')),
    ],
)
def test_what_was_chosen_on_unknown_photos(tool, evaluators):
    (line,) = tool['chosen_on'](Config(evaluators), dict(name='best_x.pth', fusion=None))
    assert line.startswith('best_x.pth: nothing tells on which photos it was chosen as the best')


@pytest.mark.parametrize('errs', [False, True])
def test_a_broken_promise_is_named(tool, errs, three_levels):
    """Photos whose check part errs, as that of another site may."""
    photos = np.arange(300)
    bad = (deal(photos, WITHOUT_CALIBRATORS, seed=0) == PARTS.index('check')) & errs
    wrong = np.repeat(bad[:, None], 3, axis=1)
    calibration = AnswerCalibration(
        Lineages(np.full((300, 3), 0.5), wrong, photos),
        three_levels,
        num_photos=300,
        calibrator='none',
    )
    rule, _ = calibration.at(0.9, promise='what is promised')
    text = tool['summary'](calibration, rule, ['what was chosen'])
    assert ('the check shows more wrong answers than promised' in text) == errs
    assert 'what is promised\n' in text and 'what was chosen' in text
    header = next(line for line in text.splitlines() if line.startswith('accuracy'))
    assert header.endswith('class  level 1  level 0  object')
    row = next(line for line in text.splitlines() if line.startswith('0.9 '))
    assert row.split()[-4:] == ['100.0%', '0.0%', '0.0%', '0.0%']


def test_means_over_deals_by_hand(tool, three_levels):
    """Deals without a match in the check part count for nothing."""

    def deal_of(wrong, probability):
        photos = np.arange(30)
        lineages = Lineages(
            np.full((30, 3), probability), np.repeat(np.array(wrong)[:, None], 3, axis=1), photos
        )
        made = AnswerCalibration(lineages, three_levels, num_photos=30, calibrator='none')
        made.parts['check'] = lineages
        return made

    nothing = deal_of([False] * 30, 0.5)
    nothing.parts['check'] = Lineages(np.zeros((0, 3)), np.zeros((0, 3), bool), np.zeros(0, int))
    deals = [deal_of([False] * 30, 0.5), deal_of([True] * 12 + [False] * 18, 0.5), nothing]
    table = tool['deals_table'](deals, [0.5])
    always, half = (line.split() for line in table.text().splitlines()[1:])
    assert always[:3] == ['always', 'the', 'class'] and always[-6:] == [
        '20.0%', '20.0%', '100.0%', '0.0%', '0.0%', '0.0%'
    ]  # fmt: skip
    assert half == ['0.5', '50.0%', '20.0%', '20.0%', '100.0%', '0.0%', '0.0%', '0.0%']
    (row,) = tool['deals_table']([nothing], []).rows
    assert list(row[2:]) == [None] * 6


def refused(*arguments, config, trained, data, more=()) -> str:
    return call('calibrate', config, trained.checkpoint, *arguments, *options(data, *more)).error()


@pytest.mark.parametrize(
    ('arguments', 'more', 'message'),
    [
        (['--group-by', 'site'], [], '--group-by site: not folder'),
        (['--group-by', 'field:site'], [], "validation.json: image .* has no 'site'"),
        ([], ['test_level=coarse'], 'lineages start from classes'),
        ([], ['val_ann=annotations/train.json'], 'what the detector was trained on'),
        ([], ['model.roi_head.type=GridRoIHead'], 'GridRoIHead cannot tell the lineage'),
    ],
)
def test_refusals(arguments, more, message, config, trained, garment_data, tmp_path):
    out = tmp_path / 'theta.json'
    error = refused(
        '--out', out, '--work-dir', tmp_path / 'work', *arguments,
        config=config, trained=trained, data=garment_data, more=more,
    )  # fmt: skip
    assert re.search(message, error) and not out.exists()


def test_no_other_groups(config, trained, garment_data, tmp_path):
    other = tmp_path / 'other.yaml'
    other.write_text(Taxonomy.load('deepfashion2').ungrouped().to_yaml())
    error = refused(
        '--out', tmp_path / 'theta.json',
        config=config, trained=trained, data=garment_data, more=[f'eval_taxonomy={other}'],
    )  # fmt: skip
    assert 'eval_taxonomy: answers are groups of the training; leave it out' in error


def test_no_test_time_augmentation(config, trained, garment_data, tmp_path):
    tta = tmp_path / 'tta.py'
    model = "dict(_delete_=True, type='DetTTAModel', module={{_base_.model}})"
    tta.write_text(f"_base_ = '{config}'\nmodel = {model}\n")
    screen = call(
        'calibrate', tta, trained.checkpoint, '--out', tmp_path / 'theta.json',
        '--cfg-options', f'data_root={garment_data}',
    )  # fmt: skip
    assert 'test-time augmentation merges' in screen.error()


def test_nothing_is_replaced(calibrated, config, trained, garment_data):
    out = calibrated[0]
    before = json.loads(out.read_text())
    error = refused('--out', out, config=config, trained=trained, data=garment_data)
    assert f'{out}: already exists' in error and json.loads(out.read_text()) == before
    for accuracy in ('0', '1', '90', 'x'):
        screen = call('calibrate', config, trained.checkpoint, '--out', out, '--accuracy', accuracy)
        assert screen.status == 2 and '--accuracy' in screen.err
