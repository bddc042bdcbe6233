"""Fixtures for all tests: small taxonomies, and the way to data that may not be there."""

from __future__ import annotations

import logging
import os
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

# Threads of several processes of tests would wait for each other's cores. Set before torch is
# imported, and for the processes that tests start.
if 'PYTEST_XDIST_WORKER' in os.environ:
    os.environ.setdefault('OMP_NUM_THREADS', '1')

import cv2

from mmdet_multigrain.launch import quiet_imports
from mmdet_multigrain.taxonomy import Taxonomy

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / 'shared'
READS_GIF = tuple(map(int, cv2.__version__.split('.')[:2])) >= (4, 12)


@pytest.fixture(scope='session')
def repository() -> Path:
    """Root of the repository."""
    return REPOSITORY


@pytest.fixture(scope='session')
def ccp() -> Path:
    """854 real photos with boxes, in COCO format with supercategories."""
    path = SHARED / 'data' / 'ccp'
    if not (path / 'train.json').is_file():
        pytest.skip('real photos (../shared/data/ccp) are not there')
    return path


@pytest.fixture
def garments() -> Taxonomy:
    """Five classes in two groups, one of them out of order, and one class alone."""
    return Taxonomy.load(
        {
            'name': 'garments',
            'groups': {'top': ['shirt', 'vest'], 'bottom': ['skirt', 'shorts']},
            'ungrouped': ['hat'],
            'classes': ['shirt', 'skirt', 'vest', 'hat', 'shorts'],
        }
    )


@pytest.fixture
def three_levels() -> Taxonomy:
    """Five classes in three levels; 'hat' has no group at the middle one."""
    return Taxonomy.load(
        {
            'name': 'three levels',
            'groups': {
                'body': {'upper': ['shirt', 'vest'], 'lower': ['skirt', 'shorts']},
                'head': ['hat'],
            },
        }
    )


@pytest.fixture
def two_trees() -> Taxonomy:
    """The groups of `three_levels`, and seasons, which do not nest in them; 'hat' has no season."""
    return Taxonomy.load(
        {
            'name': 'two trees',
            'trees': {
                'kind': {
                    'body': {'upper': ['shirt', 'vest'], 'lower': ['skirt', 'shorts']},
                    'head': ['hat'],
                },
                'season': {'summer': ['shirt', 'shorts'], 'winter': ['vest', 'skirt']},
            },
        }
    )


@pytest.fixture(scope='session', autouse=True)
def mmdet_scope() -> None:
    """Build by type names as a Runner would, without what importing mmdet prints."""
    with quiet_imports():
        import mmdet.datasets
        import mmdet.evaluation
        import mmdet.models  # noqa: F401
        from mmengine.registry import init_default_scope

        init_default_scope('mmdet')
    warnings.filterwarnings('ignore', category=UserWarning, module='mmengine')


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """Fail the test that changes the process for the tests behind it, not those."""
    before = _process_state()
    yield
    assert _process_state() == before


def _process_state() -> dict[str, object]:
    import torch

    return dict(
        float32_matmul_precision=torch.get_float32_matmul_precision(),
        logging_disabled_up_to=logging.root.manager.disable,
        working_folder=os.getcwd(),
        on_sigint=signal.getsignal(signal.SIGINT),
        on_sigterm=signal.getsignal(signal.SIGTERM),
        environment={
            name: value
            for name, value in os.environ.items()
            if name.startswith(('MULTIGRAIN_', 'TORCH_', 'OMP_', 'CUDA_'))
        },
    )
