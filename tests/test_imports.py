"""Imports go one way between the folders of the package, and the lower ones load no torch."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import mmdet_multigrain

PACKAGE = Path(mmdet_multigrain.__file__).parent
# From low to high; a folder may import from itself and from the levels below its own.
LEVELS = (
    ('version', 'utils'),
    ('taxonomy',),
    ('coco',),
    ('visualization', 'speed'),
    ('datasets', 'models', 'converters', 'checks'),
    ('evaluation',),
    ('engine',),
    ('apis',),
    ('export', 'report'),
    ('launch',),
)
LEVEL_OF = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
# `Taxonomy.load` reads COCO files and Open Images' hierarchy; it imports them when it is called.
LAZY = {('taxonomy', 'coco'), ('taxonomy', 'converters')}
TORCH = ('torch', 'mmcv', 'mmengine', 'mmdet')
LIGHT = ('utils', 'taxonomy', 'coco')


def room_of(path: Path) -> str:
    """The folder of the package that a file is in, or the name of a module right in it."""
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def imported_rooms(path: Path) -> set[tuple[str, bool]]:
    """What a file imports from the package: room, and whether only within a function."""
    tree = ast.parse(path.read_text(encoding='utf-8'))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    lazy = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, functions)
        for inner in ast.walk(node)
    }
    folder = ('mmdet_multigrain', *path.relative_to(PACKAGE).parts[:-1])
    rooms = set()
    for node in ast.walk(tree):
        for name in _modules(node, folder):
            parts = name.split('.')
            if parts[0] == 'mmdet_multigrain' and len(parts) > 1:
                rooms.add((parts[1], id(node) in lazy))
    return rooms


def _modules(node: ast.AST, folder: tuple[str, ...]) -> list[str]:
    """Full names of what an import statement names; none for other nodes."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    start = folder[: len(folder) - node.level + 1] if node.level else ()
    module = '.'.join([*start, *([node.module] if node.module else [])])
    return [f'{module}.{alias.name}' for alias in node.names]


def files() -> list[Path]:
    """All modules in folders of the package, and those right in it that a level names."""
    return [
        path
        for path in sorted(PACKAGE.rglob('*.py'))
        if path.parent != PACKAGE or room_of(path) in LEVEL_OF
    ]


def test_every_folder_has_a_level():
    folders = {path.parent.name for path in PACKAGE.glob('*/__init__.py')}
    assert folders <= set(LEVEL_OF)


def test_imports_go_one_way():
    wrong, used = [], set()
    for path in files():
        room = room_of(path)
        for other, is_lazy in imported_rooms(path):
            if is_lazy and (room, other) in LAZY:
                used.add((room, other))
            elif other in LEVEL_OF and other != room and LEVEL_OF[other] >= LEVEL_OF[room]:
                wrong.append(f'{path.relative_to(PACKAGE)} imports {other}')
    assert not wrong
    assert used == LAZY  # an exception that nobody needs must go


def test_relative_imports_are_resolved(monkeypatch, tmp_path):
    monkeypatch.setattr(f'{__name__}.PACKAGE', tmp_path)
    path = tmp_path / 'report' / 'runs' / 'a.py'
    path.parent.mkdir(parents=True)
    path.write_text(
        'from ...utils import x\nfrom ..table import y\nfrom . import z\nimport os\n'
        'import mmdet_multigrain.coco.files\n'
        'def f():\n    from mmdet_multigrain import checks\n'
    )
    assert imported_rooms(path) == {
        ('utils', False),
        ('report', False),
        ('coco', False),
        ('checks', True),
    }


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    environment = {**os.environ, 'PYTHONPATH': str(PACKAGE.parent)}
    command = [sys.executable, '-c', code]
    return subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True
    ).stdout


def test_light_rooms_load_no_torch():
    modules = [
        '.'.join(path.relative_to(PACKAGE.parent).with_suffix('').parts)
        for room in LIGHT
        for path in sorted((PACKAGE / room).rglob('*.py'))
        if path.name != '__init__.py'
    ]
    assert modules
    code = (
        f'import importlib, sys\nfor name in {modules}:\n    importlib.import_module(name)\n'
        f'    print([name, *({set(TORCH)} & set(sys.modules))])'
    )
    assert run(code).splitlines() == [repr([name]) for name in modules]


def test_importing_the_taxonomy_is_fast():
    # CPU time, the least of several: other processes on the machine add nothing to it, or little.
    code = (
        'import time\nstart = time.process_time()\nimport mmdet_multigrain.taxonomy\n'
        'print(time.process_time() - start)'
    )
    assert min(float(run(code)) for _ in range(5)) < 0.15
