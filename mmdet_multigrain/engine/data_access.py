"""What hooks read from data sets and batches, whatever wraps them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def inner_datasets(dataset: Any) -> Iterator[Any]:
    """The data sets below RepeatDataset, ClassBalancedDataset, ConcatDataset and the like."""
    if hasattr(dataset, 'datasets'):
        for part in dataset.datasets:
            yield from inner_datasets(part)
    elif hasattr(dataset, 'dataset'):
        yield from inner_datasets(dataset.dataset)
    else:
        yield dataset


def samples_of(batch: Any) -> Iterator[Any]:
    """The data samples of a batch, also where several pipelines make one each."""
    if isinstance(batch, Mapping):
        samples = batch.get('data_samples', ())
        for part in samples.values() if isinstance(samples, Mapping) else (samples,):
            yield from part or ()
