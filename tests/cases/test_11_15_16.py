"""Shared cases: areas of something else, black photos, objects and photos that are there twice."""

import json

import pytest

from tests.tools.conftest import call

from .conftest import CASES

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason='no ../shared/cases')


def check(folder, *options):
    photos = ('--images', folder / 'photos', '--workers', 1, '--examples', 99)
    return call('check_dataset', folder / 'train.json', *photos, *options)


@pytest.mark.parametrize('kind', ['area_img_poly', 'area_stale_poly'])
def test_11_the_area_contradicts_the_polygon(tmp_path, kind):
    folder = CASES / '11_area_with_mask' / kind
    out = check(folder, '--fix', tmp_path / 'f.json').out
    assert out.count('; of the object: ') == 24 and '(area-of-another)' in out
    assert 'corrected        24' in out and out.rstrip().endswith('repaired copy: clean')
    items = json.loads((tmp_path / 'f.json').read_text())['annotations']
    assert all(item['area'] == item['bbox'][2] * item['bbox'][3] for item in items)


def test_11_the_report_takes_the_right_area(run_case):
    """All boxes have 25 to 60 pixels, so they are of medium size, but for a few small ones."""
    output = run_case('11')
    aps = [line.split('|') for line in output.splitlines() if line.startswith('| perfect')]
    assert 'verdict: clean' not in output
    assert any('100.00' in cell for row in aps for cell in row), output


@pytest.mark.parametrize('kind', ['u16', 'alpha'])
@pytest.mark.parametrize('options', [(), ('--full-decode',)])
def test_15_black_photos_are_named(kind, options):
    folder = CASES / '15_black_pictures' / kind
    out = check(folder, *options).out
    images = len(json.loads((folder / 'train.json').read_text())['images'])
    assert out.count('of 255') == images and 'verdict: 1 kind of warning' in out


@pytest.mark.parametrize(
    ('kind', 'code', 'count'),
    [
        ('neardup', 'object-twice', 24),
        ('twoclass', 'object-in-two-classes', 24),
        ('parentchild', 'object-as-parent-and-child', 24),
        ('copies', 'photo-twice', 3),
        ('dotslash', 'file-name-twice', 3),
    ],
)
def test_16_what_is_there_twice_is_named(kind, code, count):
    out = check(CASES / '16_same_object_twice' / kind).out
    [line] = [line for line in out.splitlines() if f'({code})' in line]
    assert line.split()[:2] == ['warning', str(count)]
