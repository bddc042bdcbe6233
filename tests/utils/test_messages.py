"""Quoting, "did you mean" and the prefix of messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdet_multigrain.utils.errors import TaxonomyError, error_source
from mmdet_multigrain.utils.messages import (
    closest,
    did_you_mean,
    one_line,
    printable,
    show,
    show_list,
)


def test_it_is_a_value_error():
    assert issubclass(TaxonomyError, ValueError)


def test_source_comes_first():
    with pytest.raises(TaxonomyError, match=r'^cloth\.yaml: no class$'), error_source('cloth.yaml'):
        raise TaxonomyError('no class')
    with pytest.raises(TaxonomyError, match='^no class$'), error_source(''):
        raise TaxonomyError('no class')


def test_other_errors_pass_unchanged():
    with pytest.raises(KeyError), error_source('cloth.yaml'):
        raise KeyError('x')


def test_show_is_short_and_one_line():
    endless = []
    endless.append(endless)
    billions = ['x'] * 9
    for _ in range(12):
        billions = [billions] * 9
    for value in ('a' * 999 + '\n', endless, billions, 10**5000, {'a': {'b': {'c': 1}}}, None):
        assert len(show(value)) < 200
        assert len(show(value).splitlines()) == 1
    assert show('T-shirt') == "'T-shirt'"


def test_how_much_of_a_value_is_shown():
    assert show([1, 2, 3, 4]) == '[1, 2, 3, 4]' and show([1] * 5) == '[1, 1, 1, 1, ...]'
    assert show((1, 2, 3, 4, 5)) == '(1, 2, 3, 4, ...)'
    assert show(dict.fromkeys('abcde', 1)) == "{'a': 1, 'b': 1, 'c': 1, 'd': 1, ...}"
    assert show([[1], [[2]]]) == '[[1], [[...]]]'
    assert len(show('x' * 58)) == 60 == len(show('x' * 99)) == len(show(10**70))
    assert len(show(type('Long', (), {'__repr__': lambda self: 'y' * 99})())) == 60
    assert show(10**5000) == 'a very long int'


def test_show_list_counts_the_rest():
    assert show_list('abc') == "'a', 'b', 'c'"
    assert show_list('abcdefg') == "'a', 'b', 'c', 'd', 'e' and 2 more"


def test_closest():
    assert closest('shrit', ['skirt', 'shirt', 'hat']) == 'shirt'
    assert closest('SHRIT', ['Shirt']) == 'Shirt'
    assert closest('zebra', ['shirt']) is None
    assert closest(None, ['shirt']) is None
    assert closest('x' * 10**6, ['shirt']) is None


def test_did_you_mean():
    assert did_you_mean('hatt', ['hat']) == "; did you mean 'hat'?"
    assert did_you_mean('zebra', ['hat'], 'add it') == '; add it'
    assert did_you_mean('zebra', ['hat']) == ''
    assert did_you_mean(['zebra', 'hatt'], ['hat']) == "; did you mean 'hat' by 'hatt'?"
    assert did_you_mean(['hatt'], ['hat']) == "; did you mean 'hat'?"


def test_only_the_first_names_are_compared():
    others = ['zebra'] * 4
    assert did_you_mean([*others, 'hatt'], ['hat'], 'x') == "; did you mean 'hat' by 'hatt'?"
    assert did_you_mean([*others, 'zebra', 'hatt'], ['hat'], 'x') == '; x'
    assert closest('a' * 200 + 'b' * 100, ['a' * 200]) == 'a' * 200
    assert closest('a' * 100 + 'b' * 300, ['a' * 200, 'a' * 100 + 'b' * 100])[-1] == 'b'


@given(st.text(st.characters()))
def test_any_text_is_one_line_that_can_be_encoded(text):
    shown = printable(text)
    assert len(f'a{shown}b'.encode().decode().splitlines()) == 1
    assert text.isprintable() == (shown == text)


def test_one_line():
    assert one_line(' a\n  b ') == 'a b' and len(one_line('x' * 999)) == 200
