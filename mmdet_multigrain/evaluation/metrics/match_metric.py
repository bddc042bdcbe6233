"""The registered metric that keeps which detections show an annotated object, for calibration."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

import numpy as np
from mmdet.registry import METRICS

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import EvaluationError

from ..functional.answer_matching import match_objects, wrong_nodes
from ..functional.risk_control import Lineages
from .multi_grained_coco_metric import MultiGrainedCocoMetric


@METRICS.register_module()
class MatchMetric(MultiGrainedCocoMetric):
    """Matches detections and objects, and measures nothing; the RoI head tells the lineages.

    Args:
        score_thr (float): Detections that score less do not take part. Defaults to 0.
        **kwargs: Of MultiGrainedCocoMetric, for what it reads.

    Attributes:
        matches (Lineages | None): After a test, on the main process: the detections that match an
            object, and which of their nodes are wrong; photos by position in `image_ids`.
        image_ids (tuple): Of all photos.
        taxonomy (Taxonomy): Of the lineages.
    """

    matches: Lineages | None = None
    image_ids: tuple[Hashable, ...] = ()
    taxonomy: Taxonomy

    def __init__(self, *args, score_thr: float = 0.0, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.score_thr = score_thr

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Match the detections of all images; runs on the main process."""
        # Samplers pad to equal shares; an image that came twice counts once.
        first = [*{found['img_id']: (gt, found) for gt, found in reversed(results)}.values()]
        if not first:
            raise EvaluationError('no image was evaluated; the data set is empty')
        taxonomy = self._taxonomy()
        self.taxonomy = taxonomy.hierarchy
        self._load_annotations(taxonomy)
        truth, detections = self._columns(first, taxonomy)
        lineages = np.concatenate([found['lineage'] for _, found in first])
        detections = replace(detections, lineages=lineages)[detections.scores >= self.score_thr]
        matched, boxes = match_objects(truth, detections, self.taxonomy)
        found = detections[matched]
        wrong = wrong_nodes(found.labels, truth.labels[boxes], self.taxonomy)
        self.matches = Lineages(found.lineages, wrong, found.images)
        self.image_ids = truth.image_ids
        return {}
