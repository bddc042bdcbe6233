"""Which tests a mutant has to pass: those that mirror its module, then others of its folder."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable
from pathlib import Path

PACKAGE = 'mmdet_multigrain'
# Rooms whose tests may start command lines; elsewhere those are end-to-end tests of other rooms.
_WITH_TOOLS = ('launch', 'configs.py', 'speed.py')


def modules(root: Path, folder: str) -> dict[str, str]:
    """Sources of a folder of the package by their path in the repository; '.': its own files."""
    base = root / PACKAGE
    paths = base.glob('*.py') if folder == '.' else (base / folder).rglob('*.py')
    return {str(path.relative_to(root)): path.read_text() for path in sorted(paths)}


def module_name(file: str) -> str:
    """Dotted name of a module by its path in the repository."""
    return '.'.join(Path(file).with_suffix('').parts).removesuffix('.__init__')


def tests_of(root: Path, file: str) -> list[list[str]]:
    """Test files for a module: those that mirror it, and those of its folder that name it.

    All paths are in the repository `root`.
    """
    path = Path(file).relative_to(PACKAGE)
    room = Path('tests', *path.parts[:1]) if len(path.parts) > 1 else Path('tests')
    stem = path.parent.name if path.stem == '__init__' else path.stem
    own = sorted((root / 'tests' / path.parent).glob(f'test_{stem}*.py'))
    everything = sorted((root / room).rglob('test_*.py') if room.name != 'tests' else [])
    if path.parts[0] in _WITH_TOOLS:
        everything += sorted((root / 'tests/tools').glob('test_*.py'))
    names = _public_names(ast.parse((root / file).read_text())) | {stem}
    mentioned = re.compile(rf'\b({"|".join(map(re.escape, sorted(names)))})\b')
    others = [test for test in everything if test not in own]
    near = [test for test in others if mentioned.search(test.read_text())]
    near.sort(key=lambda test: -len(os.path.commonprefix([test.stem, f'test_{stem}'])))
    same = [test for test in others if test not in near and test.parent.name == path.parent.name]
    return [[str(test.relative_to(root)) for test in part] for part in (own, near + same)]


def within(tests: list[str], seconds: Callable[[str], float | None], budget: float) -> list[str]:
    """The first test files that pass unmutated and take no longer than a budget together.

    `seconds` measures one; None if it fails. Once less than a tenth of the budget is left, no
    further one is measured.
    """
    chosen, left = [], budget
    for test in tests:
        if left < budget / 10:
            break
        cost = seconds(test)
        if cost is not None and cost <= left:
            left -= cost
            chosen.append(test)
    return chosen


def _public_names(tree: ast.Module) -> set[str]:
    kinds = ast.FunctionDef, ast.ClassDef
    return {node.name for node in tree.body if isinstance(node, kinds) and node.name[0] != '_'}
