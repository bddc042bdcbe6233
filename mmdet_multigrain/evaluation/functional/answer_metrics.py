"""How wrong classes are along the taxonomy, and how specific answers can be for their accuracy.

All of it is measured on the detections that show an object (`answer_matching`), in which photos are
weighted, so that a bootstrap over photos costs one matrix product. With the nodes of a detection,
from its class to its coarsest group:

- hierarchical precision, recall and F1: of the nodes of all detections, and of the nodes of all
  objects, the share that both have (micro average over ancestor sets without the root,
  doi:10.1007/11766247_34). A group that only repeats its class is not another node.
- accuracy: the share of answers (`risk_control.answer_levels`) that hold for the object.
- specificity: the mean information gain of the answers, 1 - log |classes below| / log K: 1 for a
  class, 0 for "object" (Deng et al., "Hedging your bets", CVPR 2012). Unlike their reward it counts
  wrong answers, too, so that it only falls as the threshold rises (arXiv 2405.11533: coverage).
- the area under accuracy over specificity, from "object" to always the class. Points in between two
  thresholds are those of a mixture of both.
- calibration error of a level: mean gap, over bins of equal width, of the probability of its node and
  the share of nodes that are right.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.nodes import Nodes

from .answer_matching import match_objects, wrong_nodes
from .bootstrap import MAX_CELLS, MAX_WIDTH, image_weights
from .boxes import Detections, GroundTruth

NUM_BINS = 10


@dataclass(frozen=True, eq=False)
class MatchedDetections:
    """Detections that show an object. Levels run from 0, the class, to L - 1, the coarsest group."""

    taxonomy: Taxonomy  # L levels over K classes
    num_photos: int  # number I of photos
    photos: np.ndarray  # (M,) photo of each detection
    labels: np.ndarray  # (M,) its class
    truths: np.ndarray  # (M,) the class of its object
    # (M, L) probability of each of its nodes; None where that is not known
    lineages: np.ndarray | None = None

    @classmethod
    def of(
        cls, ground_truth: GroundTruth, detections: Detections, taxonomy: Taxonomy
    ) -> MatchedDetections:
        """Match detections to boxes of any granularity; of several trees, the main one counts."""
        index, boxes = match_objects(ground_truth, detections, taxonomy)
        found = detections[index]
        return cls(
            taxonomy.hierarchy,
            len(ground_truth.image_ids),
            found.images,
            found.labels,
            ground_truth.labels[boxes],
            found.lineages,
        )

    @functools.cached_property
    def wrong(self) -> np.ndarray:
        """(M, L) bool: nodes that are not of the object."""
        return wrong_nodes(self.labels, self.truths, self.taxonomy)

    @functools.cached_property
    def information(self) -> np.ndarray:
        """(M, L) information gain of each node, from 0 to 1 for the class."""
        bits = np.log(_group_sizes(self.taxonomy)) / np.log(max(self.taxonomy.num_classes, 2))
        return 1 - bits[:, self.labels].T


def score_matches(matched: MatchedDetections, weights: np.ndarray) -> dict[str, np.ndarray]:
    """All scores of M detections that show an object, by key; NaN where there is nothing to measure.

    Args:
        matched: The detections.
        weights: (I, B) how often each photo counts, for B sets of weights.

    Returns:
        (B,) values, 0 to 1: `wrong_0`, ..., the share whose node of this level is wrong; `within_1`,
        ..., the share of wrong classes whose node of this level is right; `hP`, `hR`, `hF1`; with
        lineages `ece_0`, ..., the calibration error of each level, and `area`.
    """
    levels, wrong = range(matched.taxonomy.num_levels), matched.wrong
    depths = _depths(matched.taxonomy).T
    own, of_truth = depths[matched.labels], depths[matched.truths]
    columns = [
        np.ones(len(wrong)),
        own.sum(axis=1),
        of_truth.sum(axis=1),
        (own & ~wrong).sum(axis=1),
        *wrong.T,
        *(wrong[:, 0] & ~wrong[:, level] for level in levels[1:]),
    ]
    count, own, of_truth, shared, *sums = _sums(matched, np.stack(columns, axis=1), weights)
    with np.errstate(invalid='ignore', divide='ignore'):
        scores = {f'wrong_{level}': sums[level] / count for level in levels}
        scores |= {f'within_{n}': sums[levels[-1] + n] / sums[0] for n in levels[1:]}
        scores |= {'hP': shared / own, 'hR': shared / of_truth}
        scores['hF1'] = 2 * shared / (own + of_truth)
        if matched.lineages is not None:
            for level in levels:
                gaps = _sums(matched, _gaps(matched, level), weights)
                scores[f'ece_{level}'] = np.abs(gaps).sum(axis=0) / count
            _, accuracy, specificity = accuracy_specificity(matched, weights)
            steps, heights = -np.diff(specificity, axis=0), accuracy[1:] + accuracy[:-1]
            scores['area'] = np.where(count > 0, (steps * heights / 2).sum(axis=0), np.nan)
    return scores


def accuracy_specificity(
    matched: MatchedDetections, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Accuracy and specificity of the answers at all thresholds that make a difference.

    `weights` (I, B) say how often each photo counts; the detections have lineages.

    Returns:
        (P,) thresholds, rising from -1 (always the class) to the highest probability (always
        "object"), and (P, B) accuracy and specificity at them.
    """
    thetas = matched.lineages.ravel()
    order = np.argsort(thetas, kind='stable')
    thetas = thetas[order]
    # At a threshold equal to a node's probability the answer has left that node.
    is_last = np.diff(thetas, append=np.inf) > 0
    weights = weights[matched.photos].astype(np.float64)
    curves = []
    for nodes, root in ((~matched.wrong, 1), (matched.information, 0)):
        nodes = np.pad(nodes.astype(float), ((0, 0), (0, 1)), constant_values=root)
        rises = np.diff(nodes, axis=1).ravel()[order, None]
        rises = rises * weights[order // matched.wrong.shape[1]]
        start = nodes[:, 0] @ weights
        curve = np.vstack([start, start + np.cumsum(rises, axis=0)[is_last]])
        with np.errstate(invalid='ignore', divide='ignore'):
            curves.append(curve / weights.sum(axis=0))
    return np.append(-1.0, thetas[is_last]), *curves


def resample_matches(
    runs: Sequence[MatchedDetections], *, resamples: int, seed: int = 0, progress: bool = False
) -> list[dict[str, np.ndarray]]:
    """(1 + B,) scores of each run by key: on all photos, then on the resamples of `bootstrap`."""
    size = max(max(one.num_photos, one.wrong.size, 1) for one in runs)
    width = max(1, min(MAX_WIDTH, MAX_CELLS // size))
    parts = [[] for _ in runs]
    numbers = range(resamples + 1)
    bar = tqdm(numbers[::width], desc='answers', leave=False, disable=not progress)
    for start in bar:
        weights = image_weights(runs[0].num_photos, numbers[start : start + width], seed=seed)
        for run, part in zip(runs, parts, strict=True):
            part.append(score_matches(run, weights))
    return [{key: np.concatenate([one[key] for one in part]) for key in part[0]} for part in parts]


def _group_sizes(taxonomy: Taxonomy) -> np.ndarray:
    """(L, K) number of classes of the node of each level of each class; the class comes first."""
    return np.stack([np.bincount(groups)[groups] for groups in Nodes.of(taxonomy).index[:-1]])


def _depths(taxonomy: Taxonomy) -> np.ndarray:
    """(L, K) bool: whether the node of each level of each class is another than the one below."""
    nodes = Nodes.of(taxonomy)
    pairs = zip(nodes.names, nodes.index, strict=True)
    names = np.array([[own[group] for group in groups] for own, groups in pairs], dtype=object)
    same = (nodes.sets[1:-1] == nodes.sets[:-2]) & (names[1:-1] == names[:-2])
    return np.vstack([np.ones((1, taxonomy.num_classes), bool), ~same])


def _gaps(matched: MatchedDetections, level: int) -> np.ndarray:
    """(M, bins) probability of the node minus whether it is right, in the bin of the probability."""
    probabilities = matched.lineages[:, level]
    bins = np.minimum((probabilities * NUM_BINS).astype(int), NUM_BINS - 1)
    gaps = probabilities - ~matched.wrong[:, level]
    return np.eye(NUM_BINS)[bins] * gaps[:, None]


def _sums(matched: MatchedDetections, columns: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(C, B) weighted sums of (M, C) columns."""
    by_photo = np.zeros((matched.num_photos, columns.shape[1]))
    np.add.at(by_photo, matched.photos, columns)
    return by_photo.T @ weights
