# Stock Faster R-CNN, the reference: the variants are larger.
# On your own COCO files.
_base_ = [
    '../_base_/models/faster-rcnn_r101_fpn.py',
    '../_base_/datasets/custom_detection.py',
    '../_base_/schedules/schedule_finetune.py',
    '../_base_/default_runtime.py',
]
model = dict(backbone=dict(depth=50))
