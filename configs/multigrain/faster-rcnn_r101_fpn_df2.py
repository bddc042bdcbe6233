# Stock Faster R-CNN (60 M parameters), for reference beside the 73 M variants.
# On DeepFashion2.
_base_ = [
    '../_base_/models/faster-rcnn_r101_fpn.py',
    '../_base_/datasets/deepfashion2_detection.py',
    '../_base_/schedules/schedule_200k.py',
    '../_base_/default_runtime.py',
]
model = dict(roi_head=dict(bbox_head=dict(num_classes=13)))
