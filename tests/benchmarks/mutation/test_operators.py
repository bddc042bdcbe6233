"""Mutants of small sources: which there are, and what is left alone."""

from __future__ import annotations

import ast
from collections import Counter

import pytest

from benchmarks.mutation.operators import draw, mutate, sites


def mutants(source: str) -> set[tuple[str, str, str]]:
    """Operator, before and after of all mutants of a source."""
    found = [mutate('a.py', source, number) for number in range(len(sites(ast.parse(source))))]
    for mutant in found:
        compile(mutant.tree, 'a.py', 'exec')
        assert ast.unparse(mutant.tree) != ast.unparse(ast.parse(source))
    return {(mutant.operator, mutant.before, mutant.after) for mutant in found}


@pytest.mark.parametrize(
    ('source', 'expected'),
    [
        ('a < b <= c', {('comparison', 'a < b <= c', 'a <= b <= c'),
                        ('comparison', 'a < b <= c', 'a < b < c')}),
        ('a is not b', {('comparison', 'a is not b', 'a is b')}),
        ('x = a - b', {('arithmetic', 'a - b', 'a + b')}),
        ('x = a // b', {('arithmetic', 'a // b', 'a * b')}),
        ('x = -a', {('arithmetic', '-a', '+a')}),
        ('x += a', {('arithmetic', 'x += a', 'x -= a'), ('dropped statement', 'x += a', 'pass')}),
        ('x = a and b', {('and / or', 'a and b', 'a or b')}),
        ('x = not a', {('negation', 'not a', 'not not a')}),
        ('x = 1', {('constant', '1', '2')}),
        ('x = 0.5', {('constant', '0.5', '2.0')}),
        ('x = True', {('constant', 'True', 'False')}),
        ('x = None', set()),
        ('a[1]', {('constant', '1', '2'), ('off by one', '1', '0')}),
        ('a[-1:]', {('constant', '1', '2'), ('off by one', '1', '0'), ('arithmetic', '-1', '+1')}),
        ("a['key']", {('constant', "'key'", "'key_'")}),
        ('f(a, b, c)', {('swapped arguments', 'f(a, b, c)', 'f(b, a, c)'),
                        ('dropped statement', 'f(a, b, c)', 'pass')}),
        ("f(kind='mean')", {('constant', "'mean'", "'mean_'"),
                            ('dropped statement', "f(kind='mean')", 'pass')}),
        ('a.b = c', {('dropped statement', 'a.b = c', 'pass')}),
        ('for a in b: f(a)', {('returned early', 'for a in b:', 'for a in b: ... break'),
                              ('dropped statement', 'f(a)', 'pass')}),
        ('if a: raise b', {('negation', 'a', 'not a'), ('dropped statement', 'raise b', 'pass')}),
        ('x = a if b else c', {('negation', 'b', 'not b')}),
        ('def f(a, b=1, *, c=False): return a', {
            ('wrong default', '1', '2'), ('wrong default', 'False', 'True'),
            ('returned early', 'return a', 'return None')}),
    ],
)  # fmt: skip
def test_each_operator(source, expected):
    assert mutants(source) == expected


@pytest.mark.parametrize(
    'source',
    [
        '"""Words."""',
        "x = 'words'",
        "x = f'{a + 1} words'",
        'def __repr__(self): return a + 1',
        "__all__ = ['a'] + b",
        'x: Literal[1]',
        'f(a, a)',
        'isinstance(a, b) is None or x',
        "x = a + 'words'",
        '@f(1)\nclass A: pass',
    ],
)
def test_words_types_and_what_changes_nothing_are_left_alone(source):
    found = {operator for operator, *_ in mutants(source)}
    if source.startswith('f('):
        assert found == {'dropped statement'}
    else:
        assert found <= ({'comparison', 'and / or'} if 'isinstance' in source else set())


def test_messages_are_left_alone_but_not_that_they_come():
    assert mutants("raise ValueError(f'{a + 1}', 2)") == {
        ('dropped statement', "raise ValueError(f'{a + 1}', 2)", 'pass')
    }
    assert mutants('logger.warning(a + 1)') == {
        ('dropped statement', 'logger.warning(a + 1)', 'pass')
    }


def test_draws_take_operators_in_turn_and_no_place_twice():
    sources = {'a.py': 'x = 1\n' * 50 + 'y = a < b\n', 'b.py': 'z = c and d\n'}
    drawn = [(one.file, one.number) for one in draw(sources, 99, 'seed')]
    assert len(drawn) == len(set(drawn)) == 52
    again = [(one.file, one.number) for one in draw(sources, 20, 'seed')]
    assert again == drawn[:20]
    assert [(one.file, one.number) for one in draw(sources, 20, 'other')] != again
    rare = Counter(one.operator for one in draw(sources, 12, 'seed'))
    assert rare['comparison'] == rare['and / or'] == 1


def test_a_mutant_is_found_again_below_other_lines():
    first, second = (mutate('a.py', text + 'x = a < b', 0) for text in ('', '\n\n'))
    assert first.key == second.key and (first.line, second.line) == (1, 3)
