"""Configs of a preset and compositions, as docs/compositions.md shows them."""

from __future__ import annotations

from pathlib import Path

from mmdet_multigrain.configs import config_folder

PRESETS = config_folder() / 'multigrain'
PARTS = config_folder() / '_base_' / 'compositions'


def write_config(path: Path, base: Path, *names: str) -> str:
    """Write the config of a base with compositions; returns its text."""
    bases = [str(base), *(str(PARTS / f'{name}.py') for name in names)]
    text = f'_base_ = {bases!r}\n'
    path.write_text(text)
    return text
