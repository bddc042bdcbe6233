# The paper's merged head (figure 3c): two branches, one result.
# On DeepFashion2.
_base_ = [
    '../_base_/models/merged_r101_fpn.py',
    '../_base_/datasets/deepfashion2_detection.py',
    '../_base_/schedules/schedule_200k.py',
    '../_base_/default_runtime.py',
]
model = dict(roi_head=dict(bbox_head=dict(taxonomy='deepfashion2')))
