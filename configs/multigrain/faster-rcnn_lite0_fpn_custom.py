# Stock Faster R-CNN, the reference: the variants are larger.
# Small, with an ImageNet backbone, on your own COCO files.
_base_ = [
    '../_base_/models/faster-rcnn_lite0_fpn.py',
    '../_base_/datasets/custom_medium_detection.py',
    '../_base_/schedules/schedule_pretrained.py',
    '../_base_/small_runtime.py',
]
