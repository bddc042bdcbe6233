"""The pipelines of the benchmark of the loader: built, timed in turns, and compared."""

from __future__ import annotations

import contextlib
import io
import statistics
import time
from collections.abc import Iterator, Mapping
from typing import Any

import cv2
import numpy as np
import torch
from tqdm import tqdm

from benchmarks.common.ratios import rounds
from benchmarks.speed.loading.photos import Photos
from mmdet_multigrain.launch import quiet_imports
from mmdet_multigrain.utils.errors import ConfigError

with quiet_imports():
    import mmdet.datasets
    import mmdet.models  # noqa: F401
    from mmdet.registry import DATASETS
    from mmengine.registry import init_default_scope
    from mmengine.runner import Runner

from mmdet_multigrain.datasets.transforms import use_fast_loading

# What `fast_loading` is in a config; None: stock, without it.
NAMES = {'stock': None, 'exact': {'reduced_decode': False}, 'fast': True}
LONG_BY_SHORT = 1333 / 800
BATCH = 8
STEP_IMAGES, STEP_WARMUP = 40, 4  # images whose steps are timed, and others before them


def loader_config(name: str, data: Photos, edge: int, *, backend: str = 'cv2') -> dict[str, Any]:
    """`train_dataloader` of a config with a stock pipeline, and `fast_loading` as the name says."""
    scales = [(round(edge * LONG_BY_SHORT), edge)]
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', with_bbox=True),
        dict(type='RandomChoiceResize', scales=scales, keep_ratio=True, backend=backend),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackDetInputs'),
    ]
    dataset = dict(
        type='CocoDataset',
        ann_file=str(data.annotations),
        data_prefix=dict(img=str(data.images)),
        metainfo=dict(classes=data.classes),
        pipeline=pipeline,
    )
    config: dict[str, Any] = {'train_dataloader': dict(dataset=dataset)}
    if NAMES[name] is not None:
        config['fast_loading'] = NAMES[name]
    use_fast_loading(config)
    return config['train_dataloader']


def dataset(name: str, data: Photos, edge: int, *, backend: str = 'cv2') -> Any:
    """The data set of one of the pipelines."""
    init_default_scope('mmdet')
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        return DATASETS.build(loader_config(name, data, edge, backend=backend)['dataset'])


def time_in_turns(
    datasets: Mapping[str, Any], *, workers: int, repeats: int, batches: int
) -> dict[str, list[float]]:
    """Seconds per image of each pipeline in each round.

    All loaders wait while another is timed. What their workers have loaded in advance is taken out
    before a turn is timed, and loaded again after it.
    """
    cv2.setNumThreads(0)  # as env_cfg of the configs says
    torch.set_num_threads(1)
    ahead = 2 * workers  # batches, PyTorch's own prefetch_factor
    loaders = {name: _loader(name, one, workers=workers) for name, one in datasets.items()}
    for loader in loaders.values():
        _take(loader, ahead + 2)
    seconds: dict[str, list[float]] = {name: [] for name in datasets}
    for _, name in rounds(datasets, repeats=repeats, title=f'timing, {workers} workers'):
        _take(loaders[name], ahead)
        start = time.perf_counter()
        _take(loaders[name], batches)
        seconds[name].append((time.perf_counter() - start) / batches / BATCH)
        time.sleep(1.5 * ahead * BATCH * seconds[name][-1])  # until it is ahead again
    return seconds


def _loader(name: str, dataset: Any, *, workers: int) -> Iterator[Any]:
    """An endless loader as training builds it."""
    collate = {} if NAMES[name] is None else {'collate_fn': dict(type='collate_by_value')}
    config = dict(
        batch_size=BATCH,
        num_workers=workers,
        persistent_workers=workers > 0,
        dataset=dataset,
        sampler=dict(type='InfiniteSampler', shuffle=True),
        batch_sampler=dict(type='AspectRatioBatchSampler'),
        **collate,
    )
    return iter(Runner.build_dataloader(config, seed=0))


def _take(loader: Iterator[Any], number: int) -> None:
    for _ in range(number):
        next(loader)


def time_steps(dataset: Any) -> dict[str, float]:
    """Median milliseconds per image of each step, in this process."""
    np.random.seed(0)
    outer = dataset.pipeline.transforms
    steps = outer[0].compose.transforms if len(outer) == 1 else outer
    taken: dict[str, list[float]] = {}
    for index in range(-STEP_WARMUP, min(STEP_IMAGES, len(dataset))):
        sample = dataset.get_data_info(max(index, 0))
        for step in steps:
            start = time.perf_counter()
            sample = step(sample)
            if index >= 0:
                taken.setdefault(type(step).__name__, []).append(time.perf_counter() - start)
    return {name: 1000 * statistics.median(values) for name, values in taken.items()}


def compare(data: Photos, edge: int, datasets: Mapping[str, Any]) -> dict[str, Any]:
    """Load every photo by each pipeline with the same random numbers.

    Gives `psnr` against stock by pipeline, None for an equal image; `samples`; `nearer`: images that
    are equal, or closer to stock than with its other resize back-end.

    Raises:
        ConfigError: Something other than the image differs, or an image of the exact pipeline.
    """
    others = {name: datasets[name] for name in ('exact', 'fast')}
    others['pillow'] = dataset('stock', data, edge, backend='pillow')
    psnr: dict[str, list[float | None]] = {name: [] for name in others}
    for index in tqdm(range(len(datasets['stock'])), desc='comparing', unit='image'):
        stock = _sample(datasets['stock'], index)
        for name, one in others.items():
            sample = _sample(one, index)
            if difference := _difference(stock, sample):
                raise ConfigError(f'{name}, image {index}: {difference} differs from stock')
            psnr[name].append(_psnr(stock['inputs'], sample['inputs']))
    if any(value is not None for value in psnr['exact']):
        raise ConfigError('exact: an image differs from stock')
    fast, pillow = ([value or float('inf') for value in psnr[key]] for key in ('fast', 'pillow'))
    nearer = sum(one >= other for one, other in zip(fast, pillow, strict=True))
    return {'samples': len(fast), 'nearer': nearer, 'psnr': psnr}


def _sample(dataset: Any, index: int) -> dict[str, Any]:
    np.random.seed(index)
    return dataset[index]


def _difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """The first thing, apart from the pixels, in which two packed samples differ."""
    left, right = one['data_samples'], other['data_samples']
    if one['inputs'].shape != other['inputs'].shape:
        return 'shape'
    if left.metainfo != right.metainfo:
        return 'metainfo'
    for part in ('gt_instances', 'ignored_instances'):
        for key in ('bboxes', 'labels'):
            pair = [getattr(getattr(side, part), key) for side in (left, right)]
            if not torch.equal(*(getattr(value, 'tensor', value) for value in pair)):
                return f'{part}.{key}'
    return None


def _psnr(one: torch.Tensor, other: torch.Tensor) -> float | None:
    if torch.equal(one, other):
        return None
    error = (one.double() - other.double()).square().mean().item()
    return float(10 * np.log10(255**2 / error))
