"""Orders of training that can begin anywhere, registered in mmdet's `DATA_SAMPLERS`."""

from .exact_aspect_ratio_batch_sampler import ExactAspectRatioBatchSampler
from .exact_class_aware_sampler import ExactClassAwareSampler
from .exact_sampler import ExactInfiniteSampler, ExactSampler, SampleIndex

__all__ = [
    'ExactAspectRatioBatchSampler',
    'ExactClassAwareSampler',
    'ExactInfiniteSampler',
    'ExactSampler',
    'SampleIndex',
]
