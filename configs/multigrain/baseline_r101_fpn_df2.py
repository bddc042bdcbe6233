# The paper's baseline (figure 3a): one branch, as large as the other variants.
# On DeepFashion2.
_base_ = [
    '../_base_/models/baseline_r101_fpn.py',
    '../_base_/datasets/deepfashion2_detection.py',
    '../_base_/schedules/schedule_200k.py',
    '../_base_/default_runtime.py',
]
model = dict(roi_head=dict(bbox_head=dict(num_classes=13)))
