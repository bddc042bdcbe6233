"""What hooks read from models, data sets and batches, whatever wraps them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn

from mmdet_multigrain.taxonomy import Taxonomy


def bare_model(model: nn.Module) -> nn.Module:
    """The model inside what distributes it or augments tests."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def taxonomy_of_data(metainfo: Mapping[str, Any]) -> Taxonomy:
    """The taxonomy of a data set; one without groups if it knows only its classes."""
    taxonomy = metainfo.get('taxonomy')
    return Taxonomy('data', metainfo['classes']) if taxonomy is None else Taxonomy.load(taxonomy)


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
