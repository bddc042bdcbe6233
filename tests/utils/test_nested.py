"""Walks through nested dicts and lists."""

from mmdet_multigrain.utils.nested import dicts, is_kind, kind_of, leaves


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


def test_the_class_of_a_config():
    registry = {'int': int, 'bool': bool}
    assert kind_of({'type': 'int'}, registry) is int and kind_of({'type': str}, registry) is str
    assert kind_of({'type': 'other'}, registry) is None and kind_of([], registry) is None
    assert is_kind({'type': 'bool'}, registry, str, int) and is_kind({'type': bool}, registry, int)
    assert not is_kind({'type': 'int'}, registry, bool) and not is_kind({}, registry, object)
    assert not is_kind({'type': len}, registry, object)
