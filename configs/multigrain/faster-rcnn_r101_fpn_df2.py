# Stock Faster R-CNN (60 M parameters), the reference: the variants are larger.
# On DeepFashion2.
_base_ = [
    '../_base_/models/faster-rcnn_r101_fpn.py',
    '../_base_/datasets/deepfashion2_detection.py',
    '../_base_/schedules/schedule_200k.py',
    '../_base_/default_runtime.py',
]
