"""Answer rules: which node they answer with, their file, and what they refuse."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mmdet_multigrain.evaluation.answers import AnswerRule
from mmdet_multigrain.evaluation.functional.calibrators import Isotonic, Platt
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import EvaluationError

LINEAGE = np.array([[0.3, 0.6, 0.9], [0.7, 0.8, 1.0], [0.1, 0.2, 0.4]], np.float32)
CHECKPOINT = {'name': 'best.pth', 'digest': 'abc', 'fusion': None}


@pytest.fixture
def rule(three_levels) -> AnswerRule:
    """One with all its facts."""
    return AnswerRule(
        0.5,
        three_levels,
        (Platt(1.5, -0.2), Platt(1, 0), Platt(0.0, 3)),
        accuracy=0.9,
        checkpoint=CHECKPOINT,
        score_thr=0.3,
        photos={'theta': 40},
        promise='at most 10%',
        seen={'wrong': 0.08},
    )


def test_the_finest_node_above_theta(three_levels):
    def levels(theta):
        return AnswerRule(theta, three_levels).levels(LINEAGE).tolist()

    assert levels(0.5) == [1, 0, 3]
    assert levels(-1) == levels(-0.1) == [0, 0, 0]
    assert levels(1) == levels(None) == [3, 3, 3]
    assert AnswerRule(None, three_levels).levels(LINEAGE[:0]).tolist() == []
    assert AnswerRule(0.5, three_levels).levels(LINEAGE[:0]).tolist() == []


def test_calibrated_probabilities_never_fall_on_the_way_up(three_levels):
    halves = Isotonic((0, 1), (0, 0.5))
    rule = AnswerRule(0.41, three_levels, (Platt(1, 0), halves, Platt(1, 0)))
    expected = [[0.3, 0.3, 0.9], [0.7, 0.7, 1.0], [0.1, 0.1, 0.4]]
    np.testing.assert_allclose(rule.probabilities(LINEAGE), expected, atol=1e-6)
    assert rule.levels(LINEAGE).tolist() == [2, 0, 3]
    plain = AnswerRule(0.4, three_levels).probabilities(LINEAGE)
    assert plain.dtype == np.float64 and (plain == LINEAGE).all()


def test_names(three_levels, garments):
    rule = AnswerRule(0.5, three_levels)
    shirt, hat = three_levels.label_of('shirt'), three_levels.label_of('hat')
    assert [rule.name(shirt, level) for level in range(4)] == ['shirt', 'upper', 'body', 'object']
    assert [rule.name(hat, level) for level in range(4)] == ['hat', 'hat', 'head', 'object']
    flat = AnswerRule(0.5, Taxonomy('flat', ['a', 'b']))
    assert [flat.name(1, level) for level in range(2)] == ['b', 'object']
    assert flat.levels(np.array([[0.4], [0.6]])).tolist() == [1, 0]


@pytest.mark.parametrize('theta', [0.123456789012345678, -1, 1, None])
def test_a_file_gives_the_same_rule(rule, tmp_path, theta):
    rule = replace(rule, theta=theta, reason=None if theta else 'too few')
    rule.save(tmp_path / 'new' / 'theta.json')
    loaded = AnswerRule.load(tmp_path / 'new' / 'theta.json')
    assert replace(loaded, source=rule.source) == rule
    assert loaded.source == str(tmp_path / 'new' / 'theta.json')
    np.testing.assert_array_equal(loaded.probabilities(LINEAGE), rule.probabilities(LINEAGE))


def test_files_of_other_calibrators(three_levels, tmp_path):
    for calibrators in ((), (Isotonic((0.1, 0.5), (0.2, 0.3)),) * 3):
        AnswerRule(0.5, three_levels, calibrators).save(tmp_path / 'a.json')
        loaded = AnswerRule.load(tmp_path / 'a.json')
        rule = AnswerRule(0.5, three_levels, calibrators)
        np.testing.assert_array_equal(loaded.probabilities(LINEAGE), rule.probabilities(LINEAGE))
    flat = AnswerRule(0.5, Taxonomy('one', ['a', 'b'], [['c'], ['c']], allow_one_group=True))
    flat.save(tmp_path / 'a.json')
    assert AnswerRule.load(tmp_path / 'a.json').taxonomy == flat.taxonomy


CHANGES = [
    ({'theta': 1.5}, 'theta is 1.5, not from -1 to 1'),
    ({'theta': -2}, 'theta is -2'),
    ({'theta': '0.5'}, "theta is '0.5'"),
    ({'theta': True}, 'theta is True'),
    ({'theta': None}, 'theta is null without a reason'),
    ({'accuracy': 90}, 'accuracy is 90, not from 0 to 1'),
    ({'score_thr': -0.1}, 'score_thr is -0.1'),
    ({'calibrator': []}, 'calibrator is []'),
    ({'calibrator': {'type': 'forest', 'levels': []}}, 'calibrator is'),
    ({'calibrator': {'type': ['platt'], 'levels': []}}, 'calibrator is'),
    ({'calibrator': {'type': 'platt', 'levels': {}}}, 'calibrator is'),
    ({'calibrator': {'type': 'platt', 'levels': [{'slope': 1}]}}, 'calibrator cannot be used'),
    ({'calibrator': {'type': 'platt', 'levels': [3]}}, 'calibrator cannot be used'),
    ({'calibrator': {'type': 'isotonic', 'levels': [{'x': [0], 'y': 'a'}]}}, 'calibrator cannot'),
    ({'calibrator': {'type': 'isotonic', 'levels': [{'x': 1, 'y': 1}]}}, 'calibrator cannot'),
    ({'calibrator': {'type': 'platt', 'levels': [{'slope': 1, 'offset': 0}]}}, '1 calibrators for'),
    ({'taxonomy': None}, 'taxonomy is None'),
    ({'taxonomy': {'groups': 3}}, 'taxonomy: '),
    ({'version': 2}, 'of version 2, this is 1'),
    ({'thetas': 1}, "unknown entry 'thetas'"),
]


@pytest.mark.parametrize(('change', 'problem'), CHANGES, ids=[problem for _, problem in CHANGES])
def test_broken_files_are_named_in_one_line(rule, tmp_path, change, problem):
    path = tmp_path / 'theta.json'
    rule.save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(EvaluationError) as caught:
        AnswerRule.load(path)
    message = str(caught.value)
    assert message.startswith(f'{path}: {problem}') and 'tools/calibrate.py' in message
    assert '\n' not in message


@pytest.mark.parametrize(
    ('text', 'problem'),
    [
        ('{"theta": NaN', 'not valid JSON'),
        ('[]', 'not a file that tools/calibrate.py writes'),
        ('{"images": [], "theta": 0.5}', 'not a file that tools/calibrate.py writes'),
        (None, 'cannot be read'),
    ],
)
def test_foreign_files(tmp_path, text, problem):
    path = tmp_path / 'theta.json'
    if text is not None:
        path.write_text(text)
    with pytest.raises(EvaluationError, match=problem):
        AnswerRule.load(path)


@pytest.mark.parametrize('theta', [float('nan'), 1.01, -1.01, float('inf')])
def test_no_such_threshold(three_levels, theta):
    with pytest.raises(EvaluationError, match='theta'):
        AnswerRule(theta, three_levels)


def test_other_origins_are_refused(rule, three_levels, garments):
    rule = replace(rule, source='theta.json')
    rule.check(three_levels)
    rule.check(three_levels, CHECKPOINT | {'name': 'copy of best.pth'})
    AnswerRule(0.5, three_levels).check(three_levels, CHECKPOINT)
    same = Taxonomy.load({**three_levels.to_dict(), 'name': 'other name'})
    rule.check(same)
    for taxonomy in (garments, three_levels.ungrouped()):
        with pytest.raises(EvaluationError, match='^theta.json: has other classes or groups'):
            rule.check(taxonomy, CHECKPOINT)
    with pytest.raises(EvaluationError, match="'best.pth' there, 'last.pth' here"):
        rule.check(three_levels, CHECKPOINT | {'name': 'last.pth', 'digest': 'def'})
    with pytest.raises(EvaluationError, match='fusion differs: None there'):
        rule.check(three_levels, CHECKPOINT | {'fusion': {'type': 'ConditionalFusion'}})


def test_of_several_trees_the_main_one_counts(two_trees, tmp_path):
    season = two_trees.with_main_tree('season')
    rule = AnswerRule(0.5, season, checkpoint=CHECKPOINT)
    assert rule.taxonomy == two_trees.tree('season') and rule.name(1, 1) == 'winter'
    rule.save(tmp_path / 'theta.json')
    read = AnswerRule.load(tmp_path / 'theta.json')
    assert read == rule
    read.check(season, CHECKPOINT)
    with pytest.raises(EvaluationError) as caught:
        read.check(two_trees, CHECKPOINT)
    assert str(caught.value) == (
        f"{tmp_path / 'theta.json'}: has other classes or groups (taxonomy 'two trees (season)') than "
        "the detector ('two trees (kind)'); set main_tree='season', or calibrate this detector with "
        'tools/calibrate.py'
    )
