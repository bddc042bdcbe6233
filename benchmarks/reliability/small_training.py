"""A real training that is small: drawn garments, and a narrow detector on them."""

from __future__ import annotations

import os
from pathlib import Path

from mmdet_multigrain.converters.deepfashion2 import convert
from mmdet_multigrain.converters.synthetic_deepfashion2 import SyntheticSpec, generate

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIGS = REPOSITORY / 'configs' / 'multigrain'
MODEL = """
model = dict(
    backbone=dict(base_channels=8),
    neck=dict(in_channels=[8, 16, 32, 64]),
    roi_head=dict(bbox_head=dict(fc_out_channels=32)))
"""


def draw_data(folder: Path, *, num_train: int, num_val: int) -> None:
    """Draw garments and convert them, as FOLDER/data."""
    spec = SyntheticSpec(num_train=num_train, num_val=num_val, width=64, height=80)
    generate(folder / 'data', spec, progress=False)
    for split in ('train', 'validation'):
        convert(folder / 'data', split, progress=False)


def environment(*folders: Path, **variables: str) -> dict[str, str]:
    """The environment of a process that can import from these folders and the repository."""
    paths = [*map(str, folders), str(REPOSITORY), os.environ.get('PYTHONPATH', '')]
    return {**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, paths)), **variables}
