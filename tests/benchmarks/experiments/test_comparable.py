"""Which results may be compared, and the records that allow more."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from benchmarks.experiments.comparable import (
    ComparisonError,
    check_addition,
    check_comparable,
    write_equality,
)
from benchmarks.experiments.results import source_digest


@pytest.fixture
def pair(result_of):
    return [result_of('wgroup', 1), result_of('wogroup', 1)]


def test_equal_but_for_variant_and_replicate(pair, result_of, tmp_path):
    check_comparable([*pair, result_of('wgroup', 2)], tmp_path)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(digest='e' * 64), '2 different sources'),
        (dict(device='cuda'), 'results of all differ in device'),
        (
            dict(detections=dict(box_step=2, score_step=0.1, limits=[9])),
            'results of classes differ in packing',
        ),
        (dict(data=dict(train='other', val='val')), 'results of replicate 1 differ in data'),
    ],
)
def test_refused(pair, change, message, tmp_path):
    pair[1].update(change)
    with pytest.raises(ComparisonError, match=message):
        check_comparable(pair, tmp_path)


def test_recipe_belongs_to_the_variant(result_of, tmp_path):
    other = result_of('wgroup', 2, recipe=dict(config='wgroup.py', options={'lr': 1}))
    with pytest.raises(ComparisonError, match='results of wgroup differ in recipe'):
        check_comparable([result_of('wgroup', 1), other], tmp_path)


def test_records_join_digests(pair, result_of, tmp_path):
    digests = ['d' * 64, 'e' * 64, 'f' * 64]
    results = [result_of('wgroup', 1, digest=digest) for digest in digests]
    write_equality(results[0], results[1], tmp_path)
    check_comparable(results[:2], tmp_path)
    with pytest.raises(ComparisonError, match='3 different sources'):
        check_comparable(results, tmp_path)
    write_equality(results[1], results[2], tmp_path)
    check_comparable(results, tmp_path)


@pytest.mark.parametrize('key', ['detections', 'scores', 'replicate', 'recipe'])
def test_no_record_of_what_differs(result_of, key, tmp_path):
    one = result_of('wgroup', 1)
    with pytest.raises(ComparisonError, match=f'differ in {key}'):
        write_equality(one, {**one, key: 2}, tmp_path)


@pytest.fixture
def tree(tmp_path):
    """A checkout."""
    for folder in ('mmdet_multigrain', 'configs', 'docs'):
        (tmp_path / 'tree' / folder).mkdir(parents=True)
        (tmp_path / 'tree' / folder / 'a.py').write_text('a = 1')
    return tmp_path / 'tree'


def test_digest_of_sources(tree):
    before = source_digest(tree)
    (tree / 'docs' / 'a.py').write_text('a = 2')
    assert source_digest(tree) == before
    (tree / 'configs' / 'a.py').write_text('a = 2')
    assert source_digest(tree) != before


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({}, None),
        (dict(digest='other'), 'may not be compared'),
        (dict(device='cuda'), 'has a wgroup of another device'),
        (dict(half=2), 'has a wgroup of another half'),
        (dict(recipe=dict(config='wgroup.py', options={})), 'has a wgroup of another recipe'),
    ],
)
def test_what_is_added_fits_what_is_there(
    experiment_of, result_of, tree, tmp_path, change, message
):
    recipe = dict(config='wgroup.py', options={'max_iters': 2, 'lr': 0.5})
    result = result_of('wgroup', 1, digest=source_digest(tree), recipe=recipe) | change
    outcome = pytest.raises(ComparisonError, match=message) if message else nullcontext()
    with outcome:
        check_addition(experiment_of(), [result], tree=tree, device='cpu', folder=tmp_path)
