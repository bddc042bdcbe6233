"""Short names of variants, and which one a user means."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdet_multigrain.report.runs.names import find_variant, without_common_suffix
from mmdet_multigrain.utils.errors import ReportError


@pytest.mark.parametrize(
    ('names', 'short'),
    [
        (['wgroup_r18_fpn', 'baseline_r18_fpn'], ['wgroup', 'baseline']),
        (['wgroup_r18_df2', 'wgroup_r101_df2'], ['wgroup_r18', 'wgroup_r101']),
        (['df2', 'wgroup_df2'], ['df2', 'wgroup_df2']),  # nothing would be left of the first
        (['a_b_x', 'b_x'], ['a_b', 'b']),
        (['only_one_x'], ['only_one_x']),
        (['xa', 'ya'], ['xa', 'ya']),  # whole words only
        ([], []),
    ],
)
def test_common_suffix(names, short):
    assert without_common_suffix(names) == short


@given(st.lists(st.text('ab_', min_size=1, max_size=8), unique=True, max_size=4))
def test_short_names_differ(names):
    short = without_common_suffix(names)
    assert len(set(short)) == len(names)
    ends = {name[len(other) :] for name, other in zip(names, short, strict=True)}
    assert len(ends) <= 1 and all(
        name.startswith(other) for name, other in zip(names, short, strict=True)
    )


def test_find_variant():
    runs = [SimpleNamespace(variant=name) for name in ('wgroup_r18', 'baseline_r18')]
    short = [SimpleNamespace(variant=name) for name in ('wgroup', 'baseline')]
    assert find_variant('baseline', runs, short) == 'baseline'
    assert find_variant('baseline_r18', runs, short) == 'baseline'
    with pytest.raises(ReportError, match="called 'baselin'; did you mean 'baseline'"):
        find_variant('baselin', runs, short)
    with pytest.raises(ReportError, match="'zzz'; there are 'wgroup', 'baseline'"):
        find_variant('zzz', runs, short)
