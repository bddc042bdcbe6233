"""An assigner that learns nothing from candidates in ignore regions, and loses no positive there."""

from __future__ import annotations

from mmdet.models.task_modules.assigners import AssignResult, MaxIoUAssigner
from mmdet.registry import TASK_UTILS
from mmengine.structures import InstanceData


@TASK_UTILS.register_module()
class IgnoreRegionAssigner(MaxIoUAssigner):
    """MaxIoUAssigner that samples no negatives in ignore regions.

    With `ignore_iof_thr=-1`, MaxIoUAssigner makes candidates in a region background; with a
    threshold it drops their overlaps with all boxes, so that an ignored person takes the positives
    of the garments on it. Here a region only changes negatives, to "not sampled" (-1): never a
    candidate that overlaps a box by `neg_iou_thr` or more, nor the best candidate of a box.

    All ignored boxes are regions, crowds (`iscrowd`) too. Without any, it is MaxIoUAssigner.

    Args:
        *args: Those of MaxIoUAssigner.
        ignore_iof_thr: A candidate is in a region if more than this part of it is. Defaults to 0.5.
        **kwargs: Those of MaxIoUAssigner.
    """

    def __init__(self, *args, ignore_iof_thr: float = 0.5, **kwargs) -> None:
        super().__init__(*args, ignore_iof_thr=ignore_iof_thr, **kwargs)

    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
        **kwargs,
    ) -> AssignResult:
        """Assign boxes to candidates (`priors`); the ignored boxes are the regions."""
        result = super().assign(pred_instances, gt_instances, None, **kwargs)
        regions = None if gt_instances_ignore is None else gt_instances_ignore.bboxes
        priors = pred_instances.priors
        if self.ignore_iof_thr <= 0 or regions is None or not len(regions) or not len(priors):
            return result
        if self.ignore_wrt_candidates:
            parts = self.iou_calculator(priors, regions, mode='iof').max(dim=1).values
        else:
            parts = self.iou_calculator(regions, priors, mode='iof').max(dim=0).values
        unsampled = (result.gt_inds == 0) & (parts > self.ignore_iof_thr)
        if len(gt_instances.bboxes):
            overlaps = self.iou_calculator(gt_instances.bboxes, priors)
            best = overlaps.max(dim=1, keepdim=True).values
            unsampled &= ~((overlaps == best) & (best > 0)).any(dim=0)
        result.gt_inds[unsampled] = -1
        return result
