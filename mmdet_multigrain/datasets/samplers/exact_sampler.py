"""Samplers whose order is a pure function of seed and position, so they can begin anywhere.

They replace MMEngine's `DefaultSampler` and `InfiniteSampler` in training. The order of an epoch
is shuffled by (seed, epoch); the processes take turns. What a sampler yields knows its position,
from which `SeededDataset` derives the augmentation.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sized

import numpy as np
from mmdet.registry import DATA_SAMPLERS
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from mmdet_multigrain.utils.seeding import Entropy, Stream, permutation


class SampleIndex(int):
    """An index of a data set that knows where in the order of training it stands.

    `entropy` (seed, stream and position) is what the augmentation of that sample depends on.
    """

    entropy: Entropy

    def __new__(cls, index: int, entropy: Entropy) -> SampleIndex:
        self = super().__new__(cls, index)
        self.entropy = entropy
        return self

    def __reduce__(self) -> tuple[type[SampleIndex], tuple[int, Entropy]]:
        """How it travels to the workers of a loader."""
        return SampleIndex, (int(self), self.entropy)


@DATA_SAMPLERS.register_module()
class ExactSampler(Sampler):
    """Epochs of a shuffled data set, for epoch-based training.

    The epoch is filled up from its beginning so that all processes get equally many samples.

    Args:
        dataset: The data set.
        shuffle: Whether to shuffle each epoch. Defaults to True.
        seed: Seed of the run, the same in all processes. Defaults to None: any.
    """

    infinite = False

    def __init__(self, dataset: Sized, shuffle: bool = True, seed: int | None = None) -> None:
        self.dataset, self.shuffle = dataset, shuffle
        self.seed = sync_random_seed() if seed is None else seed
        self.rank, self.world_size = get_dist_info()
        self.epoch = self._skip = 0

    @property
    def epoch_size(self) -> int:
        """Samples of an epoch over all processes."""
        return -(-len(self.dataset) // self.world_size) * self.world_size

    def begin_at(self, *, epoch: int, skip: int) -> None:
        """Let the next iteration begin in an epoch, from 0, after samples of this process, once."""
        self.epoch, self._skip = epoch, skip

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration."""
        self.epoch = epoch

    def share(self, epoch: int) -> np.ndarray:
        """(N, 2) int64: what this process takes of an epoch, in order.

        Each with its index of the data set, and its position in the order of the whole run, over
        all processes and epochs.
        """
        first = epoch * self.epoch_size
        offset = (self.rank - first) % self.world_size
        places = np.arange(offset, self.epoch_size, self.world_size)
        order = self.order(epoch)
        return np.stack([order[places % len(order)], first + places], axis=1)

    def order(self, epoch: int) -> np.ndarray:
        """Indices of the data set in the order of an epoch, int64, as many as it has samples."""
        size = len(self.dataset)
        if not self.shuffle:
            return np.arange(size)
        return permutation(size, (self.seed, Stream.ORDER, epoch))

    @property
    def rule(self) -> str:
        """What the order follows, apart from seed and data: a run resumes with the same rule only."""
        return 'each image once' if self.shuffle else 'not shuffled'

    def samples(self, share: np.ndarray) -> list[SampleIndex]:
        """What is yielded for a share, or a part of one."""
        rows = share.tolist()
        return [SampleIndex(index, (self.seed, Stream.SAMPLE, place)) for index, place in rows]

    def take_skip(self) -> int:
        """What `begin_at` said to leave out, once."""
        skip, self._skip = self._skip, 0
        return skip

    def __iter__(self) -> Iterator[SampleIndex]:
        return iter(self.samples(self.share(self.epoch)[self.take_skip() :]))

    def __len__(self) -> int:
        """Samples that this process takes of an epoch."""
        return self.epoch_size // self.world_size


@DATA_SAMPLERS.register_module()
class ExactInfiniteSampler(ExactSampler):
    """Epoch after epoch of a shuffled data set without end, for iteration-based training.

    The processes take turns through all epochs; nothing is filled up.
    """

    infinite = True

    @property
    def epoch_size(self) -> int:
        """Samples of an epoch over all processes."""
        return len(self.dataset)

    def set_epoch(self, epoch: int) -> None:
        """Nothing: the epochs follow one another."""

    def __iter__(self) -> Iterator[SampleIndex]:
        first = self.rank + self.take_skip() * self.world_size
        for epoch in itertools.count(first // self.epoch_size):
            share = self.share(epoch)
            yield from self.samples(share[share[:, 1] >= first])

    def __len__(self) -> int:
        """Samples of the data set, as of MMEngine's."""
        return len(self.dataset)
