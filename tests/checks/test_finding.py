"""Findings, and all checks: how severe each is, and what `--fix` repairs."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import numpy as np
import pytest

from mmdet_multigrain import checks
from mmdet_multigrain.checks.data import CocoData
from mmdet_multigrain.checks.finding import ERROR, NOTE, SEVERITIES, WARNING, Check, Checks, found

# By module: code, then `e` for an error, `w` for a warning, `n` for a note; + is fixable.
ALL = {
    'annotated': 'annotated-per-image n, annotated-not-a-list e, annotated-unknown-id w, '
    'absent-class-with-boxes w',
    'boxes': 'bbox-corners e, bbox-normalized e, bbox-unclear e, bbox-corners-told e+, '
    'bbox-not-four-numbers e+, bbox-not-finite e+, bbox-empty e+, bbox-outside e+, '
    'bbox-partly-outside w+, bbox-below-one-pixel w, area-not-positive w+, area-contradicts-box w, '
    'area-of-another w+, bbox-apart-from-mask w, bbox-rotated w, bbox-duplicate w+, area-missing w+, '
    'iscrowd-missing w+, iscrowd-not-0-or-1 e, ignore-is-text w',
    'classes': 'category-name-missing e, categories-one-class e, category-namesake-without-boxes n, '
    'taxonomy-unusable e, class-unknown e, class-not-listed e, no-box-counts e, '
    'boxes-not-counted n, class-without-boxes e, class-only-in-train w, class-only-in-val e, '
    'taxonomy-without-groups w, supercategory-says-none n, '
    'single-class-group n, class-imbalance n',
    'copies': 'photo-twice w, file-name-in-both-splits w, photo-in-both-splits e, '
    'photo-alike-in-both-splits w',
    'granularity': 'parent-annotated w, superclass-only n, leaves-of-unequal-depth n, '
    'class-lists-differ w',
    'ids': 'image-id-missing e+, image-id-not-integer e+, category-id-missing e+, '
    'category-id-not-integer e+, annotation-id-missing e+, annotation-id-not-integer e+, '
    'image-id-text w+, image-listed-twice e+, image-id-shared e, category-listed-twice e+, '
    'category-id-shared e, annotation-id-below-1 e+, annotation-id-twice e+, '
    'annotation-without-image e+, annotation-without-category e+, reference-not-integer e+',
    'images': 'image-size-missing e+, file-name-missing e+, photo-named-otherwise e+, '
    'photo-ambiguous e, photo-absent e+, photo-unreadable e+, photo-black w, image-size-wrong e+, '
    'photo-rescaled e, photo-turned-by-exif e, photo-perhaps-turned-by-exif w, '
    'image-size-swapped e, image-without-boxes n, file-name-twice w, file-name-case w, '
    'file-name-absolute e, file-name-above-folder e, file-name-doubtful w',
    'repeated': 'object-twice w, object-in-two-classes w, object-as-parent-and-child w',
    'structure': 'json-not-strict e+, field-recovered w+, list-missing e, list-empty e, entry-not-object '
    'e+',
}


def checks_of(module: str) -> dict[str, Check]:
    content = importlib.import_module(f'{checks.__name__}.{module}')
    return {one.code: one for one in getattr(content, 'CHECKS', ())}


@pytest.mark.parametrize('module', ALL)
def test_severities_and_what_is_repaired(module):
    """Scripts read them; a check that is added belongs here, too."""
    found = [
        f'{one.code} {one.severity[0]}{"+" * one.fixable}' for one in checks_of(module).values()
    ]
    assert found == ALL[module].split(', ')
    assert {one.severity for one in checks_of(module).values()} <= {*SEVERITIES}


def test_all_modules_with_checks_are_listed():
    modules = {one.name for one in pkgutil.iter_modules(checks.__path__)}
    assert {name for name in modules if checks_of(name)} == {*ALL}
    codes = [code for name in ALL for code in checks_of(name)]
    assert len(codes) == len({*codes})
    assert (ERROR, WARNING, NOTE) == ('error', 'warning', 'note') == SEVERITIES


@pytest.fixture
def data():
    """An empty file."""
    return CocoData({}, path=Path('x.json'), split='val', max_examples=2)


def test_a_finding_counts_all_and_shows_the_first(data):
    check = Check('error', 'code', 'things', 'fix them', describe=lambda data, item: f'item {item}')
    (finding,) = found(check, data, [7, 8, 9])
    assert finding.check is check and finding.split == 'val' and finding.count == 3
    assert finding.examples == ('item 7', 'item 8')
    other = {'describe': lambda data, item: f'{data.split} {item}', 'severity': 'note'}
    (finding,) = found(check, data, [7], split='', **other)
    assert (finding.split, finding.examples) == ('', ('val 7',))
    assert (finding.check.severity, finding.check.code, check.severity) == ('note', 'code', 'error')
    assert list(found(check, data, [])) == []


def test_a_check_varies_with_the_file(data):
    varies = {'fixable': True, 'varies': lambda data: {'fixable': data.split == 'train'}}
    (finding,) = found(Check('error', 'code', 'things', 'fix them', **varies), data, ['a'])
    assert not finding.check.fixable


def test_checks_of_a_subject_are_run_in_order(data):
    checks = Checks(describe=lambda data, item: f'item {item}')
    some = checks.warning('some', 'things', 'fix', lambda data: [5, 7, 9], fixable=True)
    own = checks.error('own', 'things', 'fix', lambda data: [1], describe=lambda data, item: 'own')
    rows = checks.note('rows', 'things', 'fix', lambda data: np.array([False, True, True]))
    checks.note('none', 'things', 'fix', lambda data: [])
    checks.note('elsewhere', 'things', 'fix')
    findings = list(checks.run(data))
    assert [finding.check for finding in findings] == [some, own, rows] == checks[:3]
    assert [check.severity for check in checks] == [WARNING, ERROR, NOTE, NOTE, NOTE]
    assert [check.fixable for check in checks] == [True, False, False, False, False]
    assert [finding.examples for finding in findings] == [
        ('item 5', 'item 7'),
        ('own',),
        ('item 1', 'item 2'),
    ]
