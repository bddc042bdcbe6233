"""The rarest classes, and class-balanced sampling against a plain implementation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet_multigrain.evaluation.functional.imbalance import (
    imbalance_ratio,
    rarest_labels,
    resample,
    tied_labels,
)


def test_rarest_by_hand():
    assert rarest_labels([5, 1, 9, 1, 7, 8, 6, 4, 3, 2]) == (1, 3, 9)
    assert rarest_labels([5, 1, 9]) == (1,)  # at least one
    assert [len(rarest_labels([1] * k)) for k in (1, 2, 3, 7, 10, 13, 20, 30)] == [
        1,
        1,
        1,
        2,
        3,
        3,
        6,
        9,
    ]


def test_a_class_without_boxes_is_not_rare_but_never_learned():
    assert rarest_labels([0, 1, 0, 1], share=0.5) == (1,)
    assert rarest_labels([9, 0, 2, 0, 1, *[9] * 6]) == (4, 2)  # 30% of the 9 with boxes
    assert rarest_labels([0, 0]) == () == tied_labels([0, 0], ())


def test_ratio_leaves_out_classes_without_boxes():
    assert imbalance_ratio([6, 0, 2]) == 3
    assert math.isnan(imbalance_ratio([0, 0]))


def test_resampling_by_hand():
    # Of 4 images, class 0 is in all, class 1 in one (twice), class 2 in none.
    result = resample(
        np.array([3, 3, 3, 5, 7, 9]), np.array([0, 1, 1, 0, 0, 0]), num_classes=3, threshold=1
    )
    assert result.class_factors == (1, 2, None)  # sqrt(1 / (1 / 4)) = 2
    assert (result.num_images, result.epoch, result.expected) == (4, 5, 5)
    result = resample(
        np.array([3, 3, 5, 7, 9]), np.array([0, 1, 0, 0, 0]), num_classes=2, threshold=0.5
    )
    assert result.class_factors == pytest.approx((1, math.sqrt(2)))
    assert result.epoch == 5 and result.expected == pytest.approx(3 + math.sqrt(2))


def naive(images, threshold):
    """The definition, over the set of classes of each image."""
    classes = {label for image in images for label in image}
    frequency = {label: sum(label in image for image in images) / len(images) for label in classes}
    factors = {label: max(1.0, math.sqrt(threshold / frequency[label])) for label in classes}
    return factors, [max(factors[label] for label in image) for image in images]


image_sets = st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=6), min_size=1, max_size=30)
thresholds = st.floats(1e-4, 1)


def pairs(images):
    return (
        np.array([position for position, image in enumerate(images) for _ in image]),
        np.array([label for image in images for label in image]),
    )


@settings(max_examples=200, deadline=None)
@given(image_sets, thresholds)
def test_resampling_against_the_definition(images, threshold):
    factors, image_factors = naive(images, threshold)
    result = resample(*pairs(images), num_classes=6, threshold=threshold)
    assert result.class_factors == tuple(factors.get(label) for label in range(6))
    assert result.epoch == sum(map(math.ceil, image_factors))
    assert result.expected == pytest.approx(sum(image_factors))


@settings(max_examples=100, deadline=None)
@given(image_sets, thresholds)
def test_resampling_against_the_wrapper_that_trains(images, threshold):
    wrapper = pytest.importorskip('mmengine.dataset').ClassBalancedDataset

    class Images:
        def __init__(self):
            self.dataset = self

        def __len__(self):
            return len(images)

        def get_cat_ids(self, position):
            return images[position]

    factors = wrapper._get_repeat_factors(Images(), Images(), threshold)
    result = resample(*pairs(images), num_classes=6, threshold=threshold)
    assert result.epoch == sum(map(math.ceil, factors))
