"""Whether a noisy series grows: a robust slope with an interval that knows of slow swings.

Theil-Sen's slope (the median over all pairs of points) does not mind single peaks. Memory wanders
(validation, garbage collection, the allocator), so that neighboring samples are correlated and an
interval for independent ones would be far too narrow: the residuals are resampled in blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import theilslopes

from mmdet_multigrain.utils.errors import ConfigError

RESAMPLES = 200
CONFIDENCE = 0.95
GROWTH, NONE, UNDECIDED = 'growth', 'none', 'undecided'


@dataclass(frozen=True)
class Trend:
    """A slope per 1,000 steps, and its interval."""

    slope: float  # Theil-Sen's
    low: float  # lower end of the interval
    high: float  # upper end of the interval

    def verdict(self, limit: float) -> str:
        """`none` if all of the interval is below the limit, `growth` if all of it is above."""
        if self.high < limit:
            return NONE
        return GROWTH if self.low > limit else UNDECIDED


def trend(steps: Sequence[float], values: Sequence[float]) -> Trend:
    """The trend of a series with ascending steps.

    Raises:
        ConfigError: There are fewer than 8 points.
    """
    x, y = np.asarray(steps, float) / 1000, np.asarray(values, float)
    count = len(x)
    if count < 8:
        raise ConfigError(f'{count} samples are too few for a trend; sample more often')
    slope, intercept, *_ = theilslopes(y, x)
    line = slope * x + intercept
    residuals = y - line
    block = max(round(count**0.5), 2)
    rng = np.random.default_rng(0)
    starts = rng.integers(0, count - block + 1, (RESAMPLES, -(-count // block)))
    picked = (starts[:, :, None] + np.arange(block)).reshape(RESAMPLES, -1)[:, :count]
    slopes = [theilslopes(line + residuals[rows], x)[0] for rows in picked]
    low, high = np.quantile(slopes, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Trend(float(slope), float(low), float(high))
