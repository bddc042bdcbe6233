# Stock Faster R-CNN, the reference: the variants are larger.
# Small, on your own COCO files.
_base_ = [
    '../_base_/models/faster-rcnn_r18_fpn.py',
    '../_base_/datasets/custom_small_detection.py',
    '../_base_/schedules/schedule_scratch.py',
    '../_base_/small_runtime.py',
]
