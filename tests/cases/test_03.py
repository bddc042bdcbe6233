"""Case 03: own COCO files whose supercategories make one or three levels instead of two."""

from __future__ import annotations

import pytest

from mmdet_multigrain.checks.dataset import check_files, load_files

from ..tools.conftest import SMALL, call

VARIANTS = 'wgroup', 'wogroup', 'merged', 'baseline', 'faster-rcnn'


@pytest.fixture(params=['flat', 'deep3', 'parent_annotated'])
def data(request, repository):
    folder = repository.parent / 'shared' / 'cases' / '03_levels' / request.param
    if not folder.is_dir():
        pytest.skip('needs ../shared/cases')
    return folder


@pytest.mark.parametrize('variant', VARIANTS)
def test_all_variants_that_can_do_train(variant, data, repository, tmp_path):
    result = call(
        'train',
        repository / 'configs' / 'multigrain' / f'{variant}_r18_fpn_custom.py',
        '--work-dir',
        tmp_path / 'run',
        '--cfg-options',
        *SMALL,
        f'data_root={data}',
        f'experiment_name=case03-{variant}-{data.name}',
    )
    if (variant, data.name) == ('wgroup', 'flat'):
        line = result.error()
        assert "taxonomy 'train.json' has no groups" in line and 'train wogroup' in line
        assert not (tmp_path / 'run').exists()
    else:
        assert result.status == 0, result.err
        assert result.iterations == [(1, 2), (2, 2)] and 'rarest 30% of' in result.out


def test_the_check_says_it_before(data):
    checked = check_files(load_files([data / 'train.json', data / 'val.json']))
    found = {
        finding.check.code: finding.examples
        for finding in checked.findings
        if finding.check.severity != 'note'
    }
    parent = ("'top' (id 9), 1 boxes; the superclass of 'shirt', 'coat' (4 boxes)",)
    assert (
        found
        == {
            'flat': {'taxonomy-without-groups': ('4 classes, 0 such superclasses',)},
            'deep3': {},
            'parent_annotated': {'parent-annotated': parent},
        }[data.name]
    )
