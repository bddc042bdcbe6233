# Stock Faster R-CNN (60 M parameters), for reference beside the 73 M variants.
# On OpenImagesV4-Clothing.
_base_ = [
    '../_base_/models/faster-rcnn_r101_fpn.py',
    '../_base_/datasets/openimages_v4_clothing_detection.py',
    '../_base_/schedules/schedule_200k.py',
    '../_base_/default_runtime.py',
]
model = dict(roi_head=dict(bbox_head=dict(num_classes=40)))
