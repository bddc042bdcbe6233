"""Shared cases: a repaired copy keeps what the file still tells."""

import json
from pathlib import Path

import pytest

from tests.tools.conftest import call

CASES = Path(__file__).parents[3] / 'shared' / 'cases'
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason='no ../shared/cases')


def annotations(path):
    return {item['id']: item for item in json.loads(Path(path).read_text())['annotations']}


def fix(folder, out, *options):
    return call('check_dataset', folder / 'train.json', '--fix', out, '--workers', 1, *options)


def test_04_boxes_come_from_their_polygons(tmp_path):
    folder = CASES / '04_fix_deletes' / 'nobbox'
    result = fix(folder, tmp_path / 'f.json', '--images', folder / 'photos')
    assert result.status == 0
    assert result.out.splitlines()[-1].endswith('clean; of 24 boxes, 12 recomputed')
    fixed = annotations(tmp_path / 'f.json')
    assert len(fixed) == 24
    for item in fixed.values():
        polygon = item['segmentation'][0]
        x, y = min(polygon[::2]), min(polygon[1::2])
        assert item['bbox'] == [x, y, max(polygon[::2]) - x, max(polygon[1::2]) - y]


@pytest.mark.parametrize('kind', ['uni', 'ls', 'url', 'win'])
def test_05_photos_get_the_names_of_their_files(tmp_path, kind):
    folder = CASES / '05_file_names' / kind
    result = fix(folder, tmp_path / 'f.json', '--images', folder / 'photos')
    assert result.status == 0 and result.out.endswith('copy: clean\n')
    content = json.loads((tmp_path / 'f.json').read_text())
    assert len(content['images']) == 12 and len(content['annotations']) == 24
    assert all((folder / 'photos' / image['file_name']).is_file() for image in content['images'])


@pytest.mark.parametrize('kind', ['url', 'win', 'ls'])
def test_05_odd_names_are_not_clean_without_photos(kind):
    result = call('check_dataset', CASES / '05_file_names' / kind / 'train.json')
    assert 'verdict: 1 kind of' in result.out and 'file-name-' in result.out


def test_13_swapped_sizes_are_refused(tmp_path):
    folder = CASES / '13_fix_clips_wrong_reference' / 'swap_wh'
    result = fix(folder, tmp_path / 'f.json', '--examples', 99)
    assert result.status == 2 and not (tmp_path / 'f.json').exists()
    assert result.out.count('stated 120 x 160') == 10


@pytest.mark.parametrize('kind, changed', [('corners_half', 12), ('corners_ul', 24)])
def test_13_corners_are_told_by_the_area(tmp_path, kind, changed):
    folder = CASES / '13_fix_clips_wrong_reference' / kind
    result = fix(folder, tmp_path / 'f.json')
    assert result.status == 0 and f'of 24 boxes, {changed} recomputed' in result.out
    before, after = annotations(folder / 'train.json'), annotations(tmp_path / 'f.json')
    assert sum(after[id]['bbox'] != item['bbox'] for id, item in before.items()) == changed
    for id, item in before.items():
        assert after[id]['area'] == item['area']
        assert after[id]['bbox'][2] * after[id]['bbox'][3] == pytest.approx(item['area'])
