"""Walks through nested dicts and lists."""

from mmdet_multigrain.utils.nested import dicts, leaves


def test_all_dicts_are_found_outer_ones_first():
    inner, other, text = {'type': 'c'}, {'type': 'd'}, 'no dict'
    outer = {'type': 'a', 'list': [inner, text, (other, 1)]}
    assert list(dicts({'outer': outer})) == [{'outer': outer}, outer, inner, other]
    assert list(dicts(text)) == list(dicts(None)) == []


def test_a_dict_may_change_while_it_is_walked_through():
    value = {'data': [{'pipeline': [{'type': 'a'}]}]}
    for found in dicts(value):
        if 'pipeline' in found:
            found['pipeline'] = []
    assert value == {'data': [{'pipeline': []}]}


def test_leaves_have_dotted_keys():
    value = {'a': {'b': 1, 'c': {}, 'd': [{'e': 2}]}, 3: None}
    assert list(leaves(value)) == [('a.b', 1), ('a.c', {}), ('a.d', [{'e': 2}]), ('3', None)]
    assert list(leaves({})) == [('', {})]
