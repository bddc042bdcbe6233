"""The registered metric: collects predictions in MMDetection's way, evaluates along a taxonomy.

Here belongs what ties `coco_eval` and `summary` to MMEngine: gathering, annotation files, keys
of logged values, files that a run leaves. How boxes are matched and averaged does not.
"""

from __future__ import annotations

import copy
import logging
import os
import tempfile
from collections.abc import Collection, Hashable, Mapping, Sequence
from pathlib import Path

import numpy as np
from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS
from mmengine.fileio import get_local_path
from mmengine.logging import print_log

from mmdet_multigrain.coco.unannotated import UNANNOTATED, unannotated_classes
from mmdet_multigrain.datasets import TaxonomyCOCO
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.levels import Level, at_level
from mmdet_multigrain.utils.errors import EvaluationError
from mmdet_multigrain.utils.messages import show

from ..functional.boxes import Detections, GroundTruth
from ..functional.coco_eval import evaluate_groups, evaluate_levels, limits_up_to
from ..functional.common import IOU_THRS, MAX_DETS
from ..functional.matching import image_groups
from ..functional.protocols import group_protocol
from ..functional.summary import EvaluationSummary, find_class_sets, render_text, summarize
from ..result_file import Result, RunRecord, add_lineages, write_result

DEFAULT_ITEMS = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')


def bbox_items(max_dets: int) -> dict[str, str]:
    """Stock's names of the values, and COCO's, with this limit on detections."""
    recalls = {f'AR@{limit}': f'AR{limit}' for limit in limits_up_to(max_dets)}
    by_area = {f'AR_{size}@{max_dets}': f'AR{size}' for size in 'sml'}
    return {**{item: item[1:].replace('_', '') for item in DEFAULT_ITEMS}, **recalls, **by_area}


@METRICS.register_module()
class MultiGrainedCocoMetric(CocoMetric):
    """COCO box metric with superclasses, rare classes and full precision.

    Besides COCO's numbers it gives AP of each class, mean AP of the rarest 30% of classes and of
    named sets, and AP of the superclasses on each coarse level of the taxonomy (both sides
    relabeled, nothing suppressed). It differs from `CocoMetric` in this:

    - Categories are matched to labels by name, never by position.
    - AP is read at `max_dets` detections per image and class, by default COCO's 100, and at that
      many for each class of a superclass; `proposal_nums` concerns `proposal` only. With at most
      100 detections per image nothing changes.
    - Boxes that training leaves out (marked `ignore`, outside the image, thinner than a pixel)
      are no more counted as missed than crowds.
    - Values are not rounded. -1 stands for "no ground truth to measure on", in the means as in
      the classes.
    - Files are read on the main process only: by `check_data`, or when first needed.

    Other metrics (`segm`, `proposal`, `proposal_fast`) are stock's, without its class table.

    Logged keys: `bbox_mAP`, `bbox_mAP_50`, `bbox_mAP_75`, `bbox_mAP_s`, `bbox_mAP_m`, `bbox_mAP_l`,
    `bbox_mAP_tail30`, `bbox_superclass_mAP` (more than two levels: `bbox_level0_mAP`, ... from the
    coarsest), `bbox_set_{name}_mAP` and `bbox_set_{name}_mAP_50` of class sets, and
    `{class}_precision`.

    Boxes of which only the superclass is known are boxes of that superclass, and crowds of each of
    its classes: not missed, and detections of these classes on them do not count. Where an image
    annotates only some classes, detections of the others that match no box are left out:
    `neg_category_ids` and `not_exhaustive_category_ids` of the images in the file say which (LVIS),
    and `unannotated` (labels) in the metainfo of a sample.

    Args:
        ann_file: COCO file of the images evaluated on. Default: ground truth comes with the data
            samples, as in stock.
        train_ann_file: COCO file of the boxes that each class was trained on. Without it, validation
            boxes decide which classes are rare; the result says so.
        engine: `hotcoco`, `pycocotools` or `auto`.
        max_dets: Limit on detections per image and class.
        class_sets: Classes by the name of a set, of which AP and AP50 are given, such as
            `dict(tail=['sling', 'vest'])`.
        level: Evaluate the groups of a level, by the protocol *group*: 'coarse', 'object' or a number
            (`taxonomy.levels.at_level`). Keys begin with `bbox_group` instead of `bbox`, and there
            are no class sets. Default: the classes.
        group_score: How the detector made the scores of these groups: 'sum' or 'max'
            (GroupPrediction), or 'own' (NodeHead). Default: it detects classes; the maximum is taken.
        result_file: Where to write the result as JSON. Default: nowhere.
        allow_missing: Accept annotation files that lack classes of the taxonomy.
        allow_unknown: Leave out boxes of classes that the taxonomy lacks instead of raising.
        classwise: Also return AP of each class.
        metric_items: COCO numbers to return for `bbox`, of `bbox_items`. Default: the six APs.
        **kwargs: Arguments of CocoMetric; with `bbox`, `iou_thrs` are COCO's.

    Attributes:
        run (RunRecord): What is tested; `RunRecordHook` fills it in for the result.

    Raises:
        ValueError: One line, if files, taxonomy and predictions do not fit together.
    """

    def __init__(
        self,
        ann_file: str | None = None,
        *,
        train_ann_file: str | None = None,
        engine: str = 'auto',
        max_dets: int = MAX_DETS,
        class_sets: Mapping[str, Sequence[str]] | None = None,
        level: int | str | None = None,
        group_score: str | None = None,
        result_file: str | None = None,
        allow_missing: bool = False,
        allow_unknown: bool = False,
        classwise: bool = True,
        metric_items: Sequence[str] | None = None,
        **kwargs,
    ) -> None:
        super().__init__(classwise=classwise, metric_items=metric_items, **kwargs)
        if not isinstance(max_dets, int) or max_dets < 1:
            raise EvaluationError(f'max_dets={max_dets!r}: must be a whole number from 1 on')
        if 'bbox' in self.metrics and not (
            np.shape(self.iou_thrs) == IOU_THRS.shape and np.allclose(self.iou_thrs, IOU_THRS)
        ):
            raise EvaluationError(
                f"iou_thrs={show(self.iou_thrs)}: AP of boxes is COCO's mean over 0.5 to 0.95, which "
                'the report counts on; leave iou_thrs out'
            )
        if level is not None and self.metrics != ['bbox']:
            raise EvaluationError(f'level={level!r}: evaluates boxes only; set metric to bbox')
        self._items = bbox_items(max_dets)
        unknown = [item for item in metric_items or () if item not in self._items]
        if unknown and self.metrics == ['bbox']:
            raise EvaluationError(
                f'metric item {unknown[0]!r} is unknown; use some of {", ".join(self._items)}'
            )
        self.ann_file = ann_file
        self.train_ann_file = train_ann_file
        self.engine = engine
        self.max_dets = max_dets
        self.class_sets = dict(class_sets or {}) if level is None else {}
        self.level, self.group_score = level, group_score
        self.result_file = result_file
        self.allow_missing = allow_missing
        self.allow_unknown = allow_unknown
        self.run = RunRecord()
        self._train_counts: list[int] | None = None

    def check_data(self, image_ids: Collection[Hashable]) -> None:
        """Find what does not fit before a run that would stop at its first validation.

        `image_ids` are those of the data set that is to be evaluated.

        Raises:
            MultigrainError: A file cannot be read, does not match the taxonomy or lacks an image;
                `class_sets` names no class.
        """
        taxonomy = self._taxonomy()
        find_class_sets(self.class_sets, taxonomy)
        self._level(taxonomy)
        if self.ann_file is None:
            return
        self._load_annotations(taxonomy)
        unknown = [image_id for image_id in image_ids if image_id not in self._coco_api.imgs]
        if unknown:
            raise EvaluationError(
                f'{self.ann_file}: {len(unknown)} of the {len(image_ids)} images to evaluate on are '
                f'not in it (first: image id {unknown[0]!r}); give the evaluator and its data set '
                'the same file (val_ann)'
            )
        if not self.format_only:
            self._count_training_boxes(taxonomy)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep the predictions of one batch; ground truth only where no file gives it."""
        if self.class_sets and not self.results:  # before the detector has run over all images
            find_class_sets(self.class_sets, self._taxonomy())
        if self.ann_file is not None:
            # Stock needs instances until its file is loaded, which happens later here.
            data_samples = [{**sample, 'instances': ()} for sample in data_samples]
        before = len(self.results)
        super().process(data_batch, data_samples)
        for (gt, found), sample in zip(self.results[before:], data_samples, strict=True):
            gt[UNANNOTATED] = sample.get(UNANNOTATED)
            if 'lineage' in sample['pred_instances']:
                found['lineage'] = sample['pred_instances']['lineage'].cpu().numpy()

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Evaluate all images, as `process` keeps them; runs on the main process."""
        # Samplers pad to equal shares; an image that came twice counts once.
        first = {}
        for result in results:
            first.setdefault(result[1]['img_id'], result)
        results = list(first.values())
        if not results:
            raise EvaluationError('no image was evaluated; the validation data set is empty')
        taxonomy = self._taxonomy()
        self._load_annotations(taxonomy)
        if level := self._level(taxonomy):
            ids = self._category_ids(taxonomy)
            self.cat_ids = [ids[label] for label in level.labels]
            if self.group_score is None:
                results = [
                    (gt, {**found, **image_groups(found, level.index)}) for gt, found in results
                ]
        if self.format_only:
            return super().compute_metrics(results)

        values = {}
        others = [metric for metric in self.metrics if metric != 'bbox']
        if others:
            stock = copy.copy(self)
            stock.metrics, stock.classwise = others, False
            values.update(super(MultiGrainedCocoMetric, stock).compute_metrics(results))
        elif self.outfile_prefix is not None:
            self.results2json([prediction for _, prediction in results], self.outfile_prefix)
        if 'bbox' in self.metrics:
            summary = self._evaluate(results, taxonomy, level)
            print_log('\n' + render_text(summary), 'current')
            if self.result_file is not None:
                write_result(self.result_file, self._result(summary, taxonomy, level))
                print_log(f'All numbers: {self.result_file}', 'current')
            values.update(self._values(summary))
        return values

    def results2json(self, results: Sequence[dict], outfile_prefix: str) -> dict[str, str]:
        """Write detections as stock does, but each file atomically, and lineages if there are any."""
        prefix = Path(outfile_prefix)
        prefix.parent.mkdir(parents=True, exist_ok=True)
        if self.cat_ids is None:  # ground truth that comes with the samples has labels
            self.cat_ids = list(range(len(self.dataset_meta['classes'])))
        with tempfile.TemporaryDirectory(dir=prefix.parent, prefix='.') as folder:
            written = super().results2json(results, str(Path(folder, prefix.name)))
            if any('lineage' in found for found in results):
                add_lineages(written['bbox'], [found['lineage'] for found in results])
            final = {key: str(prefix.parent / Path(path).name) for key, path in written.items()}
            for path in set(written.values()):
                os.replace(path, prefix.parent / Path(path).name)
        return final

    def _taxonomy(self) -> Taxonomy:
        meta = self.dataset_meta or {}
        if 'taxonomy' not in meta:
            raise EvaluationError(
                'MultiGrainedCocoMetric: the data set has no taxonomy; use SuperclassCocoDataset '
                'or one of its children'
            )
        taxonomy = Taxonomy.load(meta['taxonomy'])
        if tuple(meta.get('classes', ())) != taxonomy.classes:
            raise EvaluationError(
                f'classes of the data set differ from those of its taxonomy {taxonomy.name!r}; '
                'leave `classes` out of metainfo, the taxonomy gives them'
            )
        return taxonomy

    def _level(self, taxonomy: Taxonomy) -> Level | None:
        return None if self.level is None else at_level(taxonomy, self.level)

    def _load_annotations(self, taxonomy: Taxonomy) -> None:
        if self.ann_file is not None and self._coco_api is None:
            self._coco_api = self._read_annotations(self.ann_file, taxonomy)
            self.cat_ids = self._coco_api.category_ids[: taxonomy.num_classes]

    def _read_annotations(self, path: str, taxonomy: Taxonomy) -> TaxonomyCOCO:
        with get_local_path(path, backend_args=self.backend_args) as local_path:
            return TaxonomyCOCO(
                local_path,
                taxonomy=taxonomy,
                allow_missing=self.allow_missing,
                allow_unknown=self.allow_unknown,
                coarse=True,
            )

    def _category_ids(self, taxonomy: Taxonomy) -> Sequence[int]:
        """Of each label; the label itself for ground truth that comes with the samples."""
        coco = self._coco_api
        return range(len(taxonomy.labels)) if coco is None else coco.category_ids

    def _ground_truth(self, gts: Sequence[dict], taxonomy: Taxonomy) -> GroundTruth:
        unannotated = {gt['img_id']: gt.get(UNANNOTATED) or () for gt in gts}
        coco = self._coco_api
        if coco is not None:
            for image_id, classes in unannotated_classes(coco.file).items():
                unannotated[image_id] = (*unannotated.get(image_id, ()), *classes)
            image_ids, annotations = coco.imgs, coco.dataset['annotations']
        else:
            image_ids, annotations = list(unannotated), []
            for gt in gts:
                for instance in gt['anns']:
                    x1, y1, x2, y2 = map(float, instance['bbox'])
                    annotations.append(
                        {
                            'image_id': gt['img_id'],
                            'category_id': int(instance['bbox_label']),
                            'bbox': [x1, y1, x2 - x1, y2 - y1],
                            'area': (x2 - x1) * (y2 - y1),
                            'iscrowd': instance.get('ignore_flag', 0),
                        }
                    )
        return GroundTruth.from_annotations(
            image_ids,
            annotations,
            self._category_ids(taxonomy),
            sets=taxonomy.labels.sets,
            unannotated=unannotated,
        )

    def _columns(
        self, results: list[tuple[dict, dict]], taxonomy: Taxonomy
    ) -> tuple[GroundTruth, Detections]:
        ground_truth = self._ground_truth([gt for gt, _ in results], taxonomy)
        keys = ('img_id', 'labels', 'bboxes', 'scores')
        found = [tuple(prediction[key] for key in keys) for _, prediction in results]
        return ground_truth, Detections.from_images(ground_truth.image_ids, found)

    def _evaluate(
        self, results: list[tuple[dict, dict]], taxonomy: Taxonomy, level: Level | None
    ) -> EvaluationSummary:
        ground_truth, detections = self._columns(results, taxonomy)
        if absent := len(ground_truth.image_ids) - len(results):
            problem = (
                f'{absent} of the {len(ground_truth.image_ids)} images of {self.ann_file} were '
                'not run through the detector; their boxes count as missed'
            )
            print_log(problem, 'current', logging.WARNING)
        counts = self._count_training_boxes(taxonomy)
        options = dict(engine=self.engine, iou_thrs=self.iou_thrs, max_dets=self.max_dets)
        if level is not None:
            if counts is not None:
                counts = np.bincount(level.index, weights=counts).astype(int).tolist()
            groups = evaluate_groups(ground_truth, detections, level.index, **options)
            protocol = group_protocol(level.name, self.group_score)
            return summarize(
                [groups], level.taxonomy, counts, protocol=protocol, max_dets=self.max_dets
            )
        indices = [taxonomy.group_index(number) for number in range(taxonomy.num_levels)]
        levels = evaluate_levels(ground_truth, detections, indices, **options)
        return summarize(levels, taxonomy, counts, class_sets=self.class_sets)

    def _count_training_boxes(self, taxonomy: Taxonomy) -> list[int] | None:
        """Boxes of each class in the training file; None where it is not given or not here."""
        if self._train_counts is None and self.train_ann_file is not None:
            if self.backend_args is None and not Path(self.train_ann_file).is_file():
                problem = (
                    f'{self.train_ann_file}: no such training annotation file; validation boxes '
                    'decide which classes are rare'
                )
                print_log(problem, 'current', logging.WARNING)
                return None
            coco = self._read_annotations(self.train_ann_file, taxonomy)
            self._train_counts = coco.file.training_counts()
        return self._train_counts

    def _result(
        self, summary: EvaluationSummary, taxonomy: Taxonomy, level: Level | None
    ) -> Result:
        detections = None
        if self.outfile_prefix is not None:
            folder = Path(self.result_file).resolve().parent
            detections = os.path.relpath(f'{Path(self.outfile_prefix).resolve()}.bbox.json', folder)
        return Result(
            summary=summary,
            taxonomy=taxonomy if level is None else level.taxonomy,
            level=level,
            ann_file=self.ann_file,
            train_ann_file=self.train_ann_file,
            detections_file=detections,
            run=self.run,
        )

    def _values(self, summary: EvaluationSummary) -> dict[str, float]:
        coco = summary.fine.coco
        items = DEFAULT_ITEMS if self.metric_items is None else self.metric_items
        name = 'bbox' if self.level is None else 'bbox_group'
        values = {
            f'{name}_{item}': coco[self._items[item]] for item in items if item in self._items
        }
        values[f'{name}_mAP_tail30'] = summary.tail.ap
        for chosen in summary.class_sets:
            values[f'bbox_set_{chosen.name}_mAP'] = chosen.ap
            values[f'bbox_set_{chosen.name}_mAP_50'] = chosen.ap50
        coarse = summary.levels[:-1]
        for number, level in enumerate(coarse):
            name = 'superclass' if len(coarse) == 1 else f'level{number}'
            values[f'bbox_{name}_mAP'] = level.coco['AP']
        if self.classwise:
            values.update({f'{row.name}_precision': row.ap for row in summary.fine.classes})
        return {key: -1.0 if np.isnan(value) else float(value) for key, value in values.items()}
