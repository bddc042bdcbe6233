# Stock Faster R-CNN (60 M parameters), the reference: the variants are larger.
# On OpenImagesV4-Clothing.
_base_ = [
    '../_base_/models/faster-rcnn_r101_fpn.py',
    '../_base_/datasets/openimages_v4_clothing_detection.py',
    '../_base_/schedules/schedule_200k.py',
    '../_base_/default_runtime.py',
]
