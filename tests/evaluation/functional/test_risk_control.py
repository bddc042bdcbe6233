"""Thresholds of hedged answers: by hand, against a naive search, and the promise on drawn photos."""

from __future__ import annotations

import numpy as np
import pytest

from mmdet_multigrain.evaluation.functional.risk_control import (
    ALWAYS_LEAF,
    Lineages,
    answer_levels,
)


def drawn(rng, photos, *, levels=2, digits=None):
    """Lineages with probabilities that are above the share of right answers."""
    count = rng.integers(1, 6, photos)
    photo = np.repeat(np.arange(photos), count)
    probabilities = np.sort(rng.random((len(photo), levels)), axis=1)
    # One uniform number decides all levels: what is right stays right on the way up.
    wrong = rng.random(len(photo))[:, None] > probabilities**2
    if digits is not None:
        probabilities = probabilities.round(digits)
    return Lineages(probabilities, wrong, photo)


def test_answers_are_strictly_above_the_threshold():
    path = np.array([[0.2, 0.5], [0.5, 0.5], [0.6, 1.0], [0.0, 0.1]])
    assert answer_levels(path, ALWAYS_LEAF).tolist() == [0, 0, 0, 0]
    assert answer_levels(path, 0.0).tolist() == [0, 0, 0, 1]
    assert answer_levels(path, 0.5).tolist() == [2, 2, 0, 2]
    assert answer_levels(path, 1.0).tolist() == [2, 2, 2, 2]


def test_shares_by_hand():
    # Photo 7 has two detections, photo 9 one.
    lineages = Lineages(
        np.array([[0.3, 0.6], [0.8, 0.9], [0.4, 0.4]]),
        np.array([[True, False], [False, False], [True, True]]),
        np.array([7, 7, 9]),
    )
    assert lineages.num_clusters == 2
    assert lineages.losses(ALWAYS_LEAF).tolist() == [0.5, 1]
    assert lineages.losses(0.3).tolist() == [0, 1]
    assert lineages.losses(0.4).tolist() == [0, 0]
    # (sum + 1) / 3 is at most: 2.5 / 3 before 0.3, 2 / 3 from there on, 1 / 3 from 0.4 on.
    assert lineages.threshold(1 - 2.5 / 3) == ALWAYS_LEAF
    assert lineages.threshold(1 - 2.49 / 3) == 0.3
    assert lineages.threshold(1 / 3) == 0.3
    assert lineages.threshold(0.34) == 0.4
    assert lineages.threshold(2 / 3) == 0.4
    assert lineages.threshold(0.67) is None  # even "object" promises no more with two photos


def test_clusters_count_once():
    lineages = Lineages(
        np.array([[0.3], [0.8], [0.4], [0.5]]),
        np.array([[True], [False], [True], [True]]),
        np.array([0, 0, 1, 2]),
        np.array([5, 5, 5, 3]),
    )
    assert lineages.num_clusters == 2
    # Cluster 3: photo 2 is wrong. Cluster 5: half of photo 0 and all of photo 1.
    assert lineages.losses(ALWAYS_LEAF).tolist() == [1, 0.75]
    assert lineages.losses(0.4).tolist() == [1, 0]


@pytest.mark.parametrize('digits', [None, 1], ids=['continuous', 'ties'])
@pytest.mark.parametrize('levels', [1, 2, 3])
def test_equals_a_naive_search(levels, digits):
    rng = np.random.default_rng(levels)
    for accuracy in (0.3, 0.5, 0.7, 0.9):
        lineages = drawn(rng, 30, levels=levels, digits=digits)
        thetas = [ALWAYS_LEAF, *np.unique(lineages.probabilities)]
        fits = [
            theta
            for theta in thetas
            if lineages.losses(theta).sum() + 1 <= (1 - accuracy) * 31 + 1e-9
        ]
        assert lineages.threshold(accuracy) == fits[0]


def test_wrong_answers_never_rise_with_the_threshold():
    lineages = drawn(np.random.default_rng(0), 50, levels=3)
    losses = [lineages.losses(theta) for theta in np.linspace(-0.1, 1, 40)]
    assert all((later <= earlier).all() for earlier, later in zip(losses, losses[1:], strict=False))
    assert losses[0].sum() > 0 and losses[-1].sum() == 0


def test_the_promise_holds_on_average():
    """Over draws of 60 photos, a new photo's expected share of wrong answers is at most alpha."""
    alpha, shares = 0.2, []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        theta = drawn(rng, 60).threshold(1 - alpha)
        shares.append(drawn(rng, 200).losses(theta).mean())
    mean, error = np.mean(shares), np.std(shares) / np.sqrt(len(shares))
    assert alpha - 2 / 61 - 3 * error <= mean <= alpha + 3 * error


def of_sites(rng, effects, *, photos=20):
    """Lineages of some photos of each site, and the site of each; an effect is for a whole site."""
    photo = np.repeat(np.arange(photos * len(effects)), 2)
    site = photo // photos
    probabilities = rng.random((len(photo), 1))
    wrong = rng.random((len(photo), 1)) > probabilities - effects[site][:, None]
    return Lineages(probabilities, wrong, photo), site


def test_photos_of_few_sites_need_clusters():
    """Taken as independent, the photos of 5 sites break the promise on a new site."""
    alpha, photos, sites = 0.2, [], []
    for seed in range(1500):
        rng = np.random.default_rng(seed)
        effects = rng.normal(0, 1, 6)
        (known, site), (new, _) = of_sites(rng, effects[:5]), of_sites(rng, effects[5:])
        photos.append(new.losses(known.threshold(1 - alpha)).mean())
        by_site = Lineages(known.probabilities, known.wrong, known.photos, site)
        sites.append(new.losses(by_site.threshold(1 - alpha)).mean())
    error = np.std(photos) / np.sqrt(len(photos))
    assert np.mean(photos) > alpha + 3 * error
    assert np.mean(sites) <= alpha
