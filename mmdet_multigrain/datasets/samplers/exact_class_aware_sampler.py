"""All classes equally often, in an order that can begin anywhere."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sized

import numpy as np
from mmdet.registry import DATA_SAMPLERS

from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.seeding import Stream, random_state

from .exact_sampler import ExactInfiniteSampler


@DATA_SAMPLERS.register_module()
class ExactClassAwareSampler(ExactInfiniteSampler):
    """Classes in turn, and one of its images for each: MMDetection's `ClassAwareSampler`.

    All classes that have an image come in a random order, then again in another one. A class
    goes through its images in a random order, too, before it comes to one again. An epoch has as
    many samples as the data set has images and begins all orders again. The distribution is that of
    `ClassAwareSampler`; here the order depends on seed and epoch alone, and has no end.

    Boxes of which only the superclass is known are of no class; images without a class are never
    drawn.

    Args:
        dataset: The data set. Wrappers such as ConcatDataset may surround it.
        num_sample_class: Images that a class gets at a time. Defaults to 1.
        seed: Seed of the run, the same in all processes. Defaults to None: any.

    Raises:
        ConfigError: `num_sample_class` is below 1, or no image has a class.
    """

    def __init__(self, dataset: Sized, num_sample_class: int = 1, seed: int | None = None) -> None:
        if num_sample_class < 1:
            raise ConfigError(f'num_sample_class={num_sample_class}: must be at least 1')
        super().__init__(dataset, seed=seed)
        self.num_sample_class = num_sample_class

    @functools.cached_property
    def images(self) -> dict[int, np.ndarray]:
        """Indices of the images with each class that has some, in label order."""
        found: dict[int, list[int]] = {}
        for index, labels in enumerate(class_labels(self.dataset)):
            for label in labels:
                found.setdefault(label, []).append(index)
        if not found:
            raise ConfigError(
                'ExactClassAwareSampler: no image of the training data has a class; set '
                'train_dataloader.sampler.type=ExactInfiniteSampler'
            )
        return {label: np.array(found[label]) for label in sorted(found)}

    @property
    def rule(self) -> str:
        """See `ExactSampler`."""
        return f'classes in turn ({self.num_sample_class} images each)'

    def order(self, epoch: int) -> np.ndarray:
        """Indices of the data set in the order of an epoch."""
        random, size = random_state((self.seed, Stream.ORDER, epoch)), self.epoch_size
        turns = -(-size // self.num_sample_class)
        classes = _cycles(random, np.array([*self.images]), turns)
        classes = classes.repeat(self.num_sample_class)[:size]
        order = np.empty(size, np.int64)
        for label, images in self.images.items():
            places = np.flatnonzero(classes == label)
            order[places] = _cycles(random, images, len(places))
        return order


def class_labels(dataset: Sized) -> Iterator[set[int]]:
    """Labels of the classes of each image, of whatever wraps a data set of MMDetection."""
    num_classes = len(dataset.metainfo['classes'])
    for index in range(len(dataset)):
        instances = dataset.get_data_info(index)['instances']
        yield {one['bbox_label'] for one in instances if one['bbox_label'] < num_classes}


def _cycles(random: np.random.RandomState, values: np.ndarray, number: int) -> np.ndarray:
    """That many values: all in a random order, then all in another one, and so on."""
    shape = -(-number // len(values)), len(values)
    return values[random.random_sample(shape).argsort(axis=1)].ravel()[:number]
