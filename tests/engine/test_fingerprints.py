"""Digests of files and of the package's code, versions."""

from __future__ import annotations

import hashlib
import platform

import numpy as np
import torch

from mmdet_multigrain.engine import fingerprints
from mmdet_multigrain.engine.fingerprints import code_digest, file_digest, versions


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_digest_of_a_file(tmp_path):
    path = tmp_path / 'a.json'
    content = bytes(range(256)) * 5000  # more than one piece
    path.write_bytes(content)
    assert file_digest(path) == file_digest(str(path)) == hashlib.sha256(content).hexdigest()
    assert file_digest('https://a/b.json') is file_digest(tmp_path) is None


def test_the_digest_of_the_code(tmp_path, monkeypatch):
    package = tmp_path / 'package'
    (package / 'room').mkdir(parents=True)
    files = {'__init__.py': '', 'room/b.py': 'b = 1', 'a.py': 'a = 1'}
    for name, text in files.items():
        (package / name).write_text(text)
    (package / 'notes.txt').write_text('not code')
    monkeypatch.setattr(fingerprints.mmdet_multigrain, '__file__', str(package / '__init__.py'))
    fresh = code_digest.__wrapped__
    parts = [f'{name}\0{sha256(files[name])}\0' for name in ('__init__.py', 'a.py', 'room/b.py')]
    assert fresh() == sha256(''.join(parts))
    seen = {fresh()}
    (package / 'room/b.py').write_text('b = 2')
    seen.add(fresh())
    (package / 'room/b.py').rename(package / 'room/c.py')
    seen.add(fresh())
    (package / 'room/c.py').rename(package / 'c.py')
    seen.add(fresh())
    assert len(seen) == 4
    (package / 'notes.txt').write_text('still not code')
    assert fresh() in seen


def test_the_versions_are_those_that_run():
    found = versions()
    assert found['python'] == platform.python_version()
    assert (found['torch'], found['numpy']) == (str(torch.__version__), np.__version__)
    assert {*found} == {'python', 'torch', 'numpy', 'mmcv', 'mmdet', 'mmengine', 'mmdet_multigrain'}
