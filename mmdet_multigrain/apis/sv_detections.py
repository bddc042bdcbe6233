"""Detections as `supervision` has them, for its trackers, zones and videos; and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.nodes import Nodes
from mmdet_multigrain.utils.errors import ConfigError

from .detector import Prediction

if TYPE_CHECKING:
    import supervision

_ANSWER_COLUMNS = ('lineage', 'calibrated', 'answer_levels', 'rois')


def to_supervision(prediction: Prediction, taxonomy: Taxonomy) -> supervision.Detections:
    """Detections with names in `data`: `class_name`, `superclass` and `path`.

    `path` has all groups and the class, the coarsest first, like `body/upper/shirt`. Of a detector
    with a rule for answers, there are also `answer` and `answer_score`, and all else that leads
    back to the prediction.

    Args:
        prediction: N detections of an image.
        taxonomy: The detector's.

    Raises:
        ConfigError: supervision is not installed.
    """
    try:
        from supervision import Detections
    except ImportError:
        raise ConfigError(
            'supervision is not installed: pip install -r requirements/with_other_tools.txt'
        ) from None
    labels, classes = prediction.labels, taxonomy.classes
    data = dict(
        class_name=_texts(classes[label] for label in labels),
        superclass=_texts(taxonomy.superclass_of(int(label)) for label in labels),
        path=_texts('/'.join((*taxonomy.paths[label], classes[label])) for label in labels),
    )
    metadata = {}
    if prediction.answer_levels is not None:
        nodes, levels = Nodes.of(taxonomy), prediction.answer_levels
        data |= {name: getattr(prediction, name) for name in _ANSWER_COLUMNS}
        data['answer'] = _texts(map(nodes.name, labels.tolist(), levels.tolist()))
        data['answer_score'] = prediction.answer_scores
        metadata['iou_thr'] = prediction.iou_thr
    return Detections(
        xyxy=prediction.boxes,
        confidence=prediction.scores,
        class_id=labels,
        data=data,
        metadata=metadata,
    )


def from_supervision(
    detections: supervision.Detections, image: np.ndarray, taxonomy: Taxonomy
) -> Prediction:
    """The prediction of detections that went through supervision, or came from elsewhere.

    Args:
        detections: Classes by `class_name`, if `data` has it, otherwise `class_id` are labels.
            Without `confidence`, as annotations have none, scores are 1.
        image: (height, width, 3) uint8, blue-green-red.
        taxonomy: The one that the classes are in.

    Raises:
        TaxonomyError: A class is not in the taxonomy.
    """
    data, count = detections.data, len(detections)
    scores = detections.confidence
    scores = np.ones(count, np.float32) if scores is None else np.asarray(scores)
    if 'class_name' in data:
        labels = [taxonomy.label_of(str(name), 'supervision') for name in data['class_name']]
    else:
        labels = [] if detections.class_id is None else detections.class_id
        if len(labels) != count or not all(0 <= label < taxonomy.num_classes for label in labels):
            raise ConfigError(
                f'supervision: class_id has no label (0 to {taxonomy.num_classes - 1}) for each '
                'detection; give class_name in data'
            )
    order = np.argsort(-scores, kind='stable')
    answers = {name: np.asarray(data[name])[order] for name in _ANSWER_COLUMNS if name in data}
    return Prediction(
        image,
        np.asarray(labels, int)[order],
        scores[order],
        np.asarray(detections.xyxy)[order],
        **answers,
        iou_thr=detections.metadata.get('iou_thr'),
    )


def _texts(names) -> np.ndarray:
    return np.array([*names], dtype=str)
