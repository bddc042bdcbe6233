"""Import a mutant instead of its module, in this process and in those that it starts."""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
from pathlib import Path

VARIABLE = 'MUTANT'  # names the JSON file that `install_from_environment` reads


class _Mutant(importlib.machinery.SourceFileLoader, importlib.abc.MetaPathFinder):
    """Finds one module, and loads it from another source."""

    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source

    def find_spec(self, fullname: str, path: object = None, target: object = None):
        if fullname == self.name:
            return importlib.util.spec_from_file_location(fullname, self.path, loader=self)
        return None

    def get_code(self, fullname: str):
        return compile(self._source, self.path, 'exec', dont_inherit=True)


def install(*, name: str, path: str, source: str) -> None:
    """Let the import of a module run another source; `path` is for tracebacks and `__file__`."""
    sys.meta_path.insert(0, _Mutant(name, path, source))


def hand_down(folder: Path, *, name: str, path: str, tree: ast.Module) -> None:
    """Let processes that this one starts import the mutant; Python runs `sitecustomize` there.

    The folder has to stay while they run.
    """
    file = folder / 'mutant.json'
    file.write_text(json.dumps(dict(name=name, path=path, source=ast.unparse(tree))))
    here = str(Path(__file__).with_name('start'))
    os.environ[VARIABLE] = str(file)
    os.environ['PYTHONPATH'] = os.pathsep.join(filter(None, [here, os.environ.get('PYTHONPATH')]))
