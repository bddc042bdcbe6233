"""Mutants of a module: its syntax tree with one small fault.

Wording is left alone: docstrings, f-strings, `raise` statements, what is logged, `__repr__`. So are
type hints and decorators.
"""

from __future__ import annotations

import ast
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

_COMPARISONS = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_ARITHMETIC = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
# Names of calls whose arguments are wording.
_WORDING = re.compile(r'(debug|info|warn|warning|error|print|warn_explicit)$|.*Error$')
# Swapped, their arguments fail at once.
_ALWAYS_FAIL = ('isinstance', 'issubclass', 'getattr', 'hasattr', 'setattr')
_KEY = re.compile(r'[A-Za-z_]\w*$')


@dataclass(frozen=True)
class Site:
    """A place in a module and a fault for it."""

    operator: str  # kind of the fault
    line: int  # in the module, from 1
    node: ast.AST  # what is changed
    change: Callable[[], None]  # makes the fault, in place


@dataclass(frozen=True)
class Mutant:
    """One mutant of a module; `number` counts the sites of the module."""

    file: str
    number: int
    operator: str
    line: int
    before: str
    after: str
    tree: ast.Module

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What finds it again after lines above it have changed."""
        return self.file, self.operator, self.before, self.after


def mutate(file: str, source: str, number: int) -> Mutant:
    """Make the mutant of a number, from 0; IndexError past the last one."""
    tree = ast.parse(source)
    site = sites(tree)[number]
    before = _shown(site.node)
    site.change()
    ast.fix_missing_locations(tree)
    return Mutant(file, number, site.operator, site.line, before, _shown(site.node), tree)


def draw(sources: Mapping[str, str], count: int, seed: str) -> Iterator[Mutant]:
    """Draw mutants of sources by file name without repetition: first the operator, then the place.

    There may be fewer than `count`.
    """
    places: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for file in sorted(sources):
        for number, site in enumerate(sites(ast.parse(sources[file]))):
            places[site.operator].append((file, number))
    generator = random.Random(seed)
    for _ in range(min(count, sum(map(len, places.values())))):
        operator = generator.choice(sorted(name for name, left in places.items() if left))
        file, number = places[operator].pop(generator.randrange(len(places[operator])))
        yield mutate(file, sources[file], number)


def sites(tree: ast.Module) -> list[Site]:
    """All places for faults, in the order of the code."""
    found: list[Site] = []
    _Finder(found).visit(tree)
    return found


class _Finder(ast.NodeVisitor):
    """Collects sites; each method knows the faults of one kind of node."""

    def __init__(self, found: list[Site]) -> None:
        self._found = found

    def _add(self, operator: str, node: ast.AST, change: Callable[[], None]) -> None:
        self._found.append(Site(operator, node.lineno, node, change))

    def _add_set(self, operator: str, node: ast.AST, owner: object, field: str, value) -> None:
        self._add(operator, node, lambda: setattr(owner, field, value))

    def generic_visit(self, node: ast.AST) -> None:
        for _, value in ast.iter_fields(node):
            if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                self._visit_block(value)
            elif isinstance(value, list):
                for child in value:
                    if isinstance(child, ast.AST):
                        self.visit(child)
            elif isinstance(value, ast.AST):
                self.visit(value)

    def _visit_block(self, block: list[ast.stmt]) -> None:
        for position, statement in enumerate(block):
            if _is_dropped(statement):
                self._add_drop(block, position)
            self.visit(statement)

    def _add_drop(self, block: list[ast.stmt], position: int) -> None:
        node = block[position]
        shown = ast.Expr(ast.Name(ast.unparse(node).splitlines()[0]), lineno=node.lineno)

        def change() -> None:
            block[position] = ast.copy_location(ast.Pass(), node)
            shown.value.id = 'pass'

        self._add('dropped statement', shown, change)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.name == '__repr__':
            return
        for default in [*node.args.defaults, *node.args.kw_defaults]:
            for value in _other_constants(default)[:1]:
                self._add_set('wrong default', default, default, 'value', value)
        self._visit_block(node.body)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.visit(node.body)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_Assign(self, node: ast.Assign) -> None:
        if not any(
            isinstance(target, ast.Name) and target.id == '__all__' for target in node.targets
        ):
            self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._visit_block(node.body)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Wording."""

    visit_Raise = visit_JoinedStr

    def visit_Constant(self, node: ast.Constant) -> None:
        if not isinstance(node.value, str):
            for value in _other_constants(node)[:1]:
                self._add_set('constant', node, node, 'value', value)

    def visit_Compare(self, node: ast.Compare) -> None:
        for position, operation in enumerate(node.ops):
            other = _COMPARISONS[type(operation)]()
            self._add('comparison', node, _setter(node.ops, position, other))
        for side in (node.left, *node.comparators):
            self._off_by_one(side)
            self._key(side)
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        for part in parts:
            bounds = (part.lower, part.upper) if isinstance(part, ast.Slice) else (part,)
            for bound in bounds:
                self._off_by_one(bound)
                self._key(bound)
        self.generic_visit(node)

    def _off_by_one(self, node: ast.AST | None) -> None:
        if isinstance(node, ast.UnaryOp):
            node = node.operand
        for value in _other_constants(node)[1:2]:
            self._add_set('off by one', node, node, 'value', value)

    def _key(self, node: ast.AST | None) -> None:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if _KEY.match(node.value):
                self._add_set('constant', node, node, 'value', f'{node.value}_')

    def visit_BinOp(self, node: ast.BinOp) -> None:
        is_text = any(
            isinstance(side, ast.JoinedStr)
            or isinstance(side, ast.Constant)
            and isinstance(side.value, str)
            for side in ast.iter_child_nodes(node)
        )
        if type(node.op) in _ARITHMETIC and not is_text:
            self._add_set('arithmetic', node, node, 'op', _ARITHMETIC[type(node.op)]())
        self.generic_visit(node)

    visit_AugAssign = visit_BinOp

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        self._add_set('and / or', node, node, 'op', other)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self._add_set('negation', node, node, 'operand', _negated(node.operand))
        elif isinstance(node.op, ast.USub):
            self._add_set('arithmetic', node, node, 'op', ast.UAdd())
        self.generic_visit(node)

    def visit_If(self, node: ast.If | ast.IfExp | ast.While) -> None:
        test = node.test
        shown = ast.Expr(test, lineno=node.lineno)

        def change() -> None:
            node.test = shown.value = _negated(test)

        self._add('negation', shown, change)
        self.generic_visit(node)

    visit_IfExp = visit_While = visit_If

    def visit_Call(self, node: ast.Call) -> None:
        name = getattr(node.func, 'attr', getattr(node.func, 'id', ''))
        if _WORDING.match(name):
            return
        texts = [ast.unparse(argument) for argument in node.args[:2]]
        starred = any(text.startswith('*') for text in texts)
        if len({*texts}) == 2 and not starred and name not in _ALWAYS_FAIL:
            self._add_set(
                'swapped arguments', node, node, 'args', [*node.args[1::-1], *node.args[2:]]
            )
        for keyword in node.keywords:
            self._key(keyword.value)
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is not None and ast.unparse(node.value) != 'None':
            self._add_set('returned early', node, node, 'value', ast.Constant(None))
            self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        shown = ast.Expr(ast.Name(ast.unparse(node).splitlines()[0]), lineno=node.lineno)

        def change() -> None:
            node.body.append(ast.Break())
            shown.value.id += ' ... break'

        self._add('returned early', shown, change)
        self.generic_visit(node)


def _is_dropped(statement: ast.stmt) -> bool:
    """Whether a statement can go without its names being missed, which any test would notice."""
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Call | ast.YieldFrom)
    if isinstance(statement, ast.Assign):
        return not any(isinstance(target, ast.Name | ast.Tuple) for target in statement.targets)
    return isinstance(statement, ast.AugAssign | ast.Raise | ast.Continue | ast.Break | ast.Delete)


def _other_constants(node: ast.AST | None) -> Sequence[object]:
    """Other values for a constant; nothing for other nodes."""
    value = node.value if isinstance(node, ast.Constant) else None
    if isinstance(value, bool):
        return (not value,)
    if isinstance(value, int):
        return value + 1, value - 1
    if isinstance(value, float):
        return (value * 2 + 1,)
    return (f'{value}_',) if isinstance(value, str) and _KEY.match(value) else ()


def _negated(node: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.Not(), node)


def _setter(values: list, position: int, value: object) -> Callable[[], None]:
    return lambda: values.__setitem__(position, value)


def _shown(node: ast.AST) -> str:
    return ast.unparse(node).strip().splitlines()[0][:120]
