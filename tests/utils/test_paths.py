"""Which file names stay below their folder."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdet_multigrain.utils.paths import is_absolute, leaves_folder

PARTS = st.sampled_from(['a', 'b.jpg', '..', '.', '...', '..a', 'a..', ''])


@pytest.mark.parametrize(
    'name',
    [
        'a.jpg',
        'a/b.jpg',
        './a.jpg',
        'a/../b.jpg',
        '..a.jpg',
        'a..jpg',
        'x/..y/z.jpg',
        'ä b.jpg',
        'a/b/../../c.jpg',
        'c:a.jpg',
        '~/a.jpg',
        '',
        '.',
        '-rf',
        '=cmd()',
        '<script>.jpg',
    ],
)
def test_names_below(name):
    assert not leaves_folder(name)


@pytest.mark.parametrize(
    'name',
    [
        '../a.jpg',
        '..',
        'a/../../b.jpg',
        './../a.jpg',
        'a/b/../../../c.jpg',
        '..\\a.jpg',
        'a\\..\\..\\b.jpg',
        'a/..\\../b.jpg',
    ],
)
def test_names_above(name):
    assert leaves_folder(name) and not is_absolute(name)


@pytest.mark.parametrize(
    'name', ['/a.jpg', '//host/a.jpg', '\\a.jpg', '\\\\host\\a.jpg', 'C:\\a.jpg', 'c:/a.jpg']
)
def test_absolute_names(name):
    assert leaves_folder(name) and is_absolute(name)


@given(st.lists(PARTS, max_size=8))
def test_as_the_system_resolves_them(parts):
    name = '/'.join(parts)
    inside = os.path.normpath(os.path.join('/data/photos', name))
    stays = inside == '/data/photos' or inside.startswith('/data/photos/')
    # Out and in again by the folder's own name counts as out: the name is not known here.
    assert leaves_folder(name) == (not stays)
