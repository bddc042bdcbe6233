# The paper's "w/o group" (figure 3b): two branches, fine classes on both.
# On OpenImagesV4-Clothing.
_base_ = [
    '../_base_/models/wogroup_r101_fpn.py',
    '../_base_/datasets/openimages_v4_clothing_detection.py',
    '../_base_/schedules/schedule_200k.py',
    '../_base_/default_runtime.py',
]
model = dict(roi_head=dict(bbox_head=dict(taxonomy='openimages_v4_clothing')))
