"""An index of a data set that knows where in the order of training it stands."""

from __future__ import annotations

from mmdet_multigrain.utils.seeding import Entropy


class SampleIndex(int):
    """An int like any other, and what the augmentation of that sample depends on.

    Attributes:
        entropy: Seed, stream and position; see `mmdet_multigrain.utils.seeding`.
    """

    entropy: Entropy

    def __new__(cls, index: int, entropy: Entropy) -> SampleIndex:
        self = super().__new__(cls, index)
        self.entropy = entropy
        return self

    def __reduce__(self) -> tuple[type[SampleIndex], tuple[int, Entropy]]:
        """How it travels to the workers of a loader."""
        return SampleIndex, (int(self), self.entropy)
