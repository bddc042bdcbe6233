"""The result of a run: scores from packed detections, and all that tells runs apart."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.records import describe_run
from mmdet_multigrain.coco.annotations import AnnotationFile
from mmdet_multigrain.evaluation import Detections, GroundTruth, evaluate_levels, summarize
from mmdet_multigrain.evaluation.functional.coco_eval import evaluate_groups
from mmdet_multigrain.evaluation.functional.matching import suppress
from mmdet_multigrain.evaluation.functional.summary import LevelScore
from mmdet_multigrain.launch import quiet_imports
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.files import load_json

from .packing import pack, unpack
from .plan import GROUP, SUPERCLASS, Experiment, Run


def source_digest(repository: Path) -> str:
    """SHA-256 of the sources of package and configs, of their names and contents."""
    digest = hashlib.sha256()
    for folder in ('mmdet_multigrain', 'configs'):
        for path in sorted((repository / folder).rglob('*.py')):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f'{path.relative_to(repository)}\0{content}\0'.encode())
    return digest.hexdigest()


def read_truth(
    path: Path, taxonomy: Taxonomy | None = None
) -> tuple[GroundTruth, Taxonomy, list[int]]:
    """Boxes of an annotation file, the taxonomy, and the ids of its categories.

    Args:
        path: The file.
        taxonomy: Boxes of other categories are left out; default: the one that the file gives.
    """
    allow_unknown = taxonomy is not None
    taxonomy = taxonomy or Taxonomy.from_coco(path)
    file = AnnotationFile(path, taxonomy=taxonomy, allow_unknown=allow_unknown)
    images = [image['id'] for image in file.dataset['images']]
    truth = GroundTruth.from_annotations(images, file.dataset['annotations'], file.category_ids)
    return truth, taxonomy, file.category_ids


def read_detections(path: Path, truth: GroundTruth, category_ids: Sequence[int]) -> Detections:
    """Detections of a COCO result file."""
    image_of = {image: position for position, image in enumerate(truth.image_ids)}
    label_of = {category: label for label, category in enumerate(category_ids)}
    items = load_json(path)
    return Detections(
        images=np.array([image_of[item['image_id']] for item in items], dtype=np.int64),
        labels=np.array([label_of[item['category_id']] for item in items], dtype=np.int64),
        boxes=np.array([item['bbox'] for item in items], dtype=np.float64).reshape(-1, 4),
        scores=np.array([item['score'] for item in items], dtype=np.float64),
    )


def score(
    packed: Mapping[str, Any],
    truth: GroundTruth,
    taxonomy: Taxonomy,
    class_sets: Mapping[str, Sequence[str]],
    train_counts: Sequence[int],
    *,
    suppressed: bool = False,
) -> dict[str, Any]:
    """Scores of packed detections, 0 to 100; None where there are no boxes.

    Args:
        packed: The detections.
        truth: Boxes of the evaluation set.
        taxonomy: Their classes.
        class_sets: Named sets of classes.
        train_counts: Training boxes of each class.
        suppressed: Whether to add the protocol *group*.

    Returns:
        `scores`: means, among them `<set> AP` and `<set> AP50` of each set whose classes are all
        there; `classes` and `superclasses`: AP, AP50 and the boxes of each.
    """
    levels = [taxonomy.group_index(level) for level in range(taxonomy.num_levels)]
    known = {
        name: members
        for name, members in class_sets.items()
        if None not in map(taxonomy.find, members)  # those of superclasses are others
    }
    found = unpack(packed)
    results = evaluate_levels(truth, found, levels)
    summary = summarize(results, taxonomy, train_counts, class_sets=known)
    scores = dict(summary.fine.coco)
    for level in summary.levels[:-1]:
        scores.update({f'{SUPERCLASS} {key}': level.coco[key] for key in ('AP', 'AP50')})
    if suppressed and len(levels) > 1:
        index = taxonomy.group_index(-2)
        grouped = evaluate_groups(truth, suppress(found, index), index)
        for key, iou in (('AP', None), ('AP50', 0.5)):
            scores[f'{GROUP} {key}'] = grouped.mean_ap(iou=iou)
    for chosen in summary.class_sets:
        scores |= {f'{chosen.name} AP': chosen.ap, f'{chosen.name} AP50': chosen.ap50}
    return dict(
        scores={key: _percent(value) for key, value in scores.items()},
        classes=_rows(summary.fine),
        superclasses=_rows(summary.levels[-2]) if len(levels) > 1 else {},
    )


def _rows(level: LevelScore) -> dict[str, dict[str, Any]]:
    return {
        row.name: dict(
            AP=_percent(row.ap),
            AP50=_percent(row.ap50),
            train_boxes=row.train_boxes,
            val_boxes=row.val_boxes,
        )
        for row in level.classes
    }


def _percent(value: float) -> float | None:
    return 100 * value if value == value else None


def make_result(
    experiment: Experiment,
    run: Run,
    *,
    folder: Path,
    detections: Path,
    **facts: Any,
) -> dict[str, Any]:
    """The content of a result file.

    Args:
        experiment: The experiment.
        run: The run.
        folder: Of its train.json and val.json.
        detections: COCO result file of the test.
        **facts: Further entries: what the run knows of itself.
    """
    truth, taxonomy, ids = read_truth(folder / 'val.json')
    train, *_ = read_truth(folder / 'train.json', taxonomy)
    packing, half = dict(experiment.packing), experiment.data.get('half')
    per_box, at_least = packing.pop('per_box'), packing.pop('at_least')
    packed = pack(
        read_detections(detections, truth, ids),
        len(truth.image_ids),
        np.maximum(per_box * truth.box_counts(taxonomy.num_classes), at_least),
        **packing,
    )
    train_counts = train.box_counts(taxonomy.num_classes).tolist()
    with quiet_imports():
        machine = describe_run()
    return dict(
        experiment=run.experiment,
        variant=run.variant,
        replicate=run.replicate,
        **(dict(fold=run.fold) if run.fold else {}),
        **(dict(half=half) if half else {}),
        **(dict(caveat=experiment.caveat) if experiment.caveat else {}),
        **facts,
        versions=machine['versions'],
        hardware=f'{machine["processor"]}, {machine["cores"]} cores, {machine["system"]}',
        **score(
            packed,
            truth,
            taxonomy,
            experiment.class_sets,
            train_counts,
            suppressed=any(measure.startswith(f'{GROUP} ') for measure in experiment.all_measures),
        ),
        detections=packed,
    )
