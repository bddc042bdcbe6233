"""Batches of images of like shape that can begin at any batch.

Stock `AspectRatioBatchSampler` fills a bucket for upright images and one for the others while it
goes; here a whole epoch is put into batches at once, from the sizes in the annotations, so that a
resumed run gets to its batch (and to what the buckets held) without loading an image.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator

import numpy as np
from mmdet.datasets.samplers import AspectRatioBatchSampler
from mmdet.registry import DATA_SAMPLERS

from mmdet_multigrain.utils.errors import ConfigError

from .exact_sampler import ExactSampler, SampleIndex


@DATA_SAMPLERS.register_module()
class ExactAspectRatioBatchSampler(AspectRatioBatchSampler):
    """MMDetection's `AspectRatioBatchSampler` on an exact sampler; same batches from one order.

    Raises:
        ConfigError: The sampler is not an exact one.
    """

    def __init__(self, sampler: ExactSampler, batch_size: int, drop_last: bool = False) -> None:
        if not isinstance(sampler, ExactSampler):
            raise ConfigError(
                f'ExactAspectRatioBatchSampler works on an ExactSampler or ExactInfiniteSampler, '
                f'not on a {type(sampler).__name__}; set train_dataloader.sampler.type to '
                'one of them'
            )
        super().__init__(sampler, batch_size, drop_last)
        self._skip = 0

    def begin_at(self, *, epoch: int, batch: int) -> None:
        """Let the next iteration begin in an epoch, from 0, after batches of this process, once."""
        self.sampler.begin_at(epoch=epoch, skip=0)
        self._skip = batch

    @functools.cached_property
    def upright(self) -> np.ndarray:
        """Whether each image of the data set is higher than wide, from the annotations alone."""
        dataset = self.sampler.dataset
        sizes = map(dataset.get_data_info, range(len(dataset)))
        return np.fromiter((info['width'] < info['height'] for info in sizes), bool, len(dataset))

    def __iter__(self) -> Iterator[list[SampleIndex]]:
        skip, self._skip = self._skip, 0
        epochs = itertools.count() if self.sampler.infinite else [self.sampler.epoch]
        waiting = np.empty((0, 2), np.int64)
        for epoch in epochs:
            share = np.concatenate([waiting, self.sampler.share(epoch)])
            batches, waiting = self._batches(share)
            for batch in batches[skip:]:
                yield self.sampler.samples(share[batch])
            skip = max(0, skip - len(batches))
            waiting = share[waiting]
        for first in range(0, len(waiting), self.batch_size):
            batch = waiting[first : first + self.batch_size]
            if skip == 0 and (len(batch) == self.batch_size or not self.drop_last):
                yield self.sampler.samples(batch)
            skip = max(0, skip - 1)

    def _batches(self, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Full batches in the order in which they get full, (batches, batch size), and the rest.

        Both as places in the share; the rest holds fewer than a batch of either shape, so that it
        may stand before the next epoch in any order of the shapes.
        """
        upright = self.upright[share[:, 0]]
        batches, rest = [], []
        for places in (np.flatnonzero(upright), np.flatnonzero(~upright)):
            full = len(places) // self.batch_size * self.batch_size
            batches.append(places[:full].reshape(-1, self.batch_size))
            rest.append(places[full:])
        batches = np.concatenate(batches)
        return batches[np.argsort(batches[:, -1])], np.concatenate(rest)
