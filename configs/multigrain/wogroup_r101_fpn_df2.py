# The paper's "w/o group" (figure 3b): two branches, fine classes on both.
# On DeepFashion2.
_base_ = [
    '../_base_/models/wogroup_r101_fpn.py',
    '../_base_/datasets/deepfashion2_detection.py',
    '../_base_/schedules/schedule_200k.py',
    '../_base_/default_runtime.py',
]
model = dict(roi_head=dict(bbox_head=dict(taxonomy='deepfashion2')))
