"""Random numbers that depend on where a run is, not on how it came there.

Every draw of a training run comes from one of four streams, each a pure function of the run's
seed and a place: the order of the images (epoch), the augmentation of an image (its position in
that order), what the model draws (iteration, process) and its initial values (name of the
tensor). Nothing has to be saved or replayed: whoever knows the seed and the place has the
numbers, in any process and after any restart.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import random
from collections.abc import Iterator
from enum import IntEnum

import numpy as np

Entropy = tuple[int, ...]


class Stream(IntEnum):
    """What is drawn; keeps the streams of one seed apart."""

    ORDER = 0
    SAMPLE = 1
    MODEL = 2
    VALUES = 3


def name_entropy(name: str) -> int:
    """A number for a name, the same in every process."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], 'big')


def random_state(entropy: Entropy) -> np.random.RandomState:
    """A generator whose stream never changes between versions of NumPy (NEP 19)."""
    return np.random.RandomState(np.random.MT19937(np.random.SeedSequence(entropy)))


def permutation(size: int, entropy: Entropy) -> np.ndarray:
    """A permutation of range(size), int64."""
    return random_state(entropy).permutation(size)


def seed_generators(entropy: Entropy, *, devices: bool = True) -> None:
    """Seed the global generators of random, NumPy and torch: of all devices, or the CPU's only."""
    import torch  # not at the top: this room is imported where nobody needs torch

    words = np.random.SeedSequence(entropy).generate_state(8)
    random.seed(int(words[0]) << 32 | int(words[1]))
    np.random.seed(words[2:6])
    seed = int(words[6]) << 32 | int(words[7])
    if devices and _has_devices():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


@functools.cache
def _has_devices() -> bool:
    """Whether there are others than the CPU; torch is slow to seed those that do not exist."""
    import torch

    accelerator = getattr(torch, 'accelerator', None)  # torch 2.6
    return accelerator is None or accelerator.is_available()


@contextlib.contextmanager
def drawing_from(entropy: Entropy) -> Iterator[None]:
    """Draw from a stream for a while, on the CPU; the generators' states are restored afterward."""
    import torch

    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    seed_generators(entropy, devices=False)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])
