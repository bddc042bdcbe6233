"""A training data set whose augmentation depends on the position of a sample alone."""

from __future__ import annotations

from typing import Any

from mmdet.registry import DATASETS

from mmdet_multigrain.utils.seeding import drawing_from

from .samplers import SampleIndex


@DATASETS.register_module()
class SeededDataset:
    """Whatever data set is trained on, outermost: seeds the generators for each sample.

    Number of workers, prefetching and restarts then make no difference to a sample, and loading
    it in the main process makes none to what the model draws. All other attributes are read from
    and set on the data set inside.

    Transforms that keep something from one sample to the next (MMDetection's cached mosaic) or
    have their own generator are not covered. `dataset` is the data set, or its config.
    """

    dataset: Any

    def __init__(self, dataset: Any) -> None:
        if isinstance(dataset, dict):
            dataset = DATASETS.build(dataset)
        # For the setter below.
        vars(self)['dataset'] = dataset

    def __getitem__(self, index: int) -> Any:
        """A sample; of an index that knows its position, drawn for that position."""
        if not isinstance(index, SampleIndex):
            return self.dataset[index]
        with drawing_from(index.entropy):
            return self.dataset[int(index)]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        # A copy is asked for its methods before it has a data set.
        if name == 'dataset' or name.startswith('__'):
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __setattr__(self, name: str, value: Any) -> None:
        # MMDetection's hooks exchange the pipeline in this way.
        setattr(self.dataset, name, value)
