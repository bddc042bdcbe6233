"""When two names are the same, and which are no names."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet_multigrain.taxonomy import TaxonomyError
from mmdet_multigrain.taxonomy.names import check_name, normalize
from mmdet_multigrain.utils.messages import closest


@pytest.mark.parametrize(
    'spelling',
    [
        'short sleeve top',
        'Short Sleeve Top',
        'short_sleeve_top',
        'SHORT-SLEEVE-TOP',
        ' short  sleeve\ttop ',
        'short_ -sleeve top_',
    ],
)
def test_spellings_of_one_name(spelling):
    assert normalize(spelling) == 'short sleeve top'


@pytest.mark.parametrize('other', ['shortsleeve top', 'short sleeve tops', 'short.sleeve top'])
def test_other_names_stay_other(other):
    assert normalize(other) != normalize('short sleeve top')


def test_case_beyond_ascii():
    assert normalize('STRASSE') == normalize('straße')
    assert normalize('É') == normalize('e\u0301')  # composed or not


def test_separators_alone_stay_apart():
    assert len({normalize('-'), normalize('_'), normalize('a')}) == 3


@settings(deadline=None)
@given(st.text())
def test_normalize_ignores_what_it_promises_to_ignore(name):
    assert normalize(f'  {name.replace(" ", "_")}') == normalize(name.replace(' ', '-')) or (
        not name.replace(' ', '').strip('_- ')
    )


def test_a_name_comes_back_as_it_is():
    assert check_name(' T-shirt ', 'a class') == ' T-shirt '


@pytest.mark.parametrize(
    ('value', 'said'),
    [
        (False, 'a class is False, not text; quote it'),
        (3, 'a class is 3, not text; quote it'),
        (['a'], "a class is ['a'], not text"),
        (None, 'a class is empty'),
        ('', 'a class is empty'),
        (' \t', 'a class is empty'),
        ('a\nb', r"a class, 'a\nb', holds a line break"),
        ('a\x07', 'control character'),
        ('a\ud800', 'control character'),
        ('a\u2028b', 'line break'),
        ('x' * 1001, 'has 1,001 letters; 1,000 are enough'),
    ],
)
def test_no_names(value, said):
    with pytest.raises(TaxonomyError) as caught:
        check_name(value, 'a class')
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_names_as_long_as_a_file_take_no_time_and_no_memory():
    name, other = 'é ' * 50_000_000, 'hta' + ' ' * 10**8
    started = time.process_time()
    assert normalize(name) is name
    with pytest.raises(TaxonomyError, match='has 100,000,000 letters'):
        check_name(name, 'a class')
    assert closest(name, ['hat']) is None and closest(other, ['hat']) is None
    assert time.process_time() - started < 1
