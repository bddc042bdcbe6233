# The paper's merged head (figure 3c): two branches, one result.
# On OpenImagesV4-Clothing.
_base_ = [
    '../_base_/models/merged_r101_fpn.py',
    '../_base_/datasets/openimages_v4_clothing_detection.py',
    '../_base_/schedules/schedule_200k.py',
    '../_base_/default_runtime.py',
]
model = dict(roi_head=dict(bbox_head=dict(taxonomy='openimages_v4_clothing')))
