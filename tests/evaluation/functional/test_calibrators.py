"""Calibrators against naive references, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import expit, logit

from mmdet_multigrain.evaluation.functional.calibrators import CALIBRATORS, Isotonic, Platt
from mmdet_multigrain.utils.errors import EvaluationError


def drawn(seed, count=200, digits=None):
    """Probabilities that are too high, and whether each node is right."""
    rng = np.random.default_rng(seed)
    probabilities = rng.random(count)
    right = rng.random(count) < probabilities**2
    return probabilities if digits is None else probabilities.round(digits), right


@pytest.mark.parametrize('digits', [None, 1], ids=['continuous', 'ties'])
@pytest.mark.parametrize('count', [1, 2, 60])
def test_isotonic_equals_its_definition(count, digits):
    """Of all intervals around a point: the largest over starts of the least mean over ends."""
    probabilities, right = drawn(count, count, digits)
    curve = Isotonic.fit(probabilities, right)
    x = np.unique(probabilities)
    expected = [
        max(
            min(
                right[(probabilities >= low) & (probabilities <= high)].mean()
                for high in x[x >= point]
            )
            for low in x[x <= point]
        )
        for point in x
    ]
    np.testing.assert_allclose(curve(x), expected, atol=1e-12)
    assert curve(0.0) == curve.y[0] and curve(1.0) == curve.y[-1]


def test_isotonic_is_straight_between_knots():
    curve = Isotonic.fit(np.array([0.2, 0.4, 0.6, 0.8]), np.array([False, True, False, True]))
    assert curve.x == (0.2, 0.4, 0.6, 0.8) and curve.y == (0, 0.5, 0.5, 1)
    assert curve(np.array([0.3, 0.5, 0.7])).tolist() == pytest.approx([0.25, 0.5, 0.75])


def test_platt_is_most_likely():
    probabilities, right = drawn(0)
    curve = Platt.fit(probabilities, right)
    targets = np.where(right, (right.sum() + 1) / (right.sum() + 2), 1 / ((~right).sum() + 2))

    def loss(slope, offset):
        p = expit(slope * logit(probabilities) + offset)
        return -(targets * np.log(p) + (1 - targets) * np.log(1 - p)).sum()

    best = loss(curve.slope, curve.offset)
    around = [(0.02, 0), (-0.02, 0), (0, 0.02), (0, -0.02), (0.02, -0.02)]
    assert all(best < loss(curve.slope + a, curve.offset + b) for a, b in around)
    assert curve(0.5) == pytest.approx(expit(curve.offset))


@pytest.mark.parametrize('kind', CALIBRATORS)
def test_calibrators_calibrate(kind):
    curve = CALIBRATORS[kind].fit(*drawn(1, 20_000))
    grid = np.linspace(0.1, 0.95, 20)
    assert np.abs(curve(grid) - grid**2).max() < 0.05 < np.abs(grid - grid**2).max()


@pytest.mark.parametrize('kind', CALIBRATORS)
@pytest.mark.parametrize('right', [True, False, None], ids=['all right', 'all wrong', 'falling'])
def test_odd_data_gives_a_curve_that_never_falls(kind, right):
    probabilities = np.array([0, 0.1, 0.5, 0.9, 1])
    hits = np.array([True, True, False, False, False] if right is None else [right] * 5)
    values = CALIBRATORS[kind].fit(probabilities, hits)(np.linspace(0, 1, 50))
    assert (np.diff(values) >= 0).all() and 0 <= values[0] <= values[-1] <= 1
    assert np.isfinite(values).all()


@pytest.mark.parametrize('kind', CALIBRATORS)
def test_no_data_changes_nothing(kind):
    grid = np.linspace(0, 1, 11)
    curve = CALIBRATORS[kind].fit(np.zeros(0), np.zeros(0, bool))
    np.testing.assert_allclose(curve(grid), grid, atol=1e-6)


@pytest.mark.parametrize(
    ('kind', 'values'),
    [
        (Platt, (-0.1, 0)),
        (Platt, (1, math.nan)),
        (Platt, (1, math.inf)),
        (Platt, ('1', 0)),
        (Platt, (True, 0)),
        (Isotonic, ((), ())),
        (Isotonic, ((0.1, 0.2), (0.5,))),
        (Isotonic, ((0.2, 0.2), (0.5, 0.6))),
        (Isotonic, ((0.1, 0.2), (0.6, 0.5))),
        (Isotonic, ((0.1, 0.2), (0.5, 1.1))),
        (Isotonic, ((0.1, 0.2), (-0.1, 0.5))),
        (Isotonic, ((0.1, 0.2), (0.5, None))),
    ],
)
def test_no_such_curve(kind, values):
    with pytest.raises(EvaluationError, match='curve'):
        kind(*values)
