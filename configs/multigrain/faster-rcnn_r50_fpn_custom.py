# Stock Faster R-CNN, for reference beside the variants, which are larger.
# On your own COCO files.
_base_ = [
    '../_base_/models/faster-rcnn_r101_fpn.py',
    '../_base_/datasets/custom_detection.py',
    '../_base_/schedules/schedule_finetune_12k.py',
    '../_base_/default_runtime.py',
]
model = dict(backbone=dict(depth=50), roi_head=dict(bbox_head=dict(num_classes=_base_.num_classes)))
