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


def is_wrapper(dataset: Any) -> bool:
    """Whether a data set surrounds others, as RepeatDataset and ConcatDataset do."""
    return hasattr(dataset, 'datasets') or hasattr(dataset, 'dataset')


def nested_datasets(dataset: Any) -> Iterator[list[Any]]:
    """Each wrapper (ConcatDataset, ...) and data set, as the last of what is around it."""
    yield [dataset]
    for part in getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]:
        if part is not None:
            yield from ([dataset, *inner] for inner in nested_datasets(part))


def inner_datasets(dataset: Any) -> Iterator[Any]:
    """The data sets below RepeatDataset, ClassBalancedDataset, ConcatDataset and the like."""
    return (part for *_, part in nested_datasets(dataset) if not is_wrapper(part))


def samples_of(batch: Any) -> Iterator[Any]:
    """The data samples of a batch, also where several pipelines make one each."""
    if isinstance(batch, Mapping):
        samples = batch.get('data_samples', ())
        for part in samples.values() if isinstance(samples, Mapping) else (samples,):
            yield from part or ()
