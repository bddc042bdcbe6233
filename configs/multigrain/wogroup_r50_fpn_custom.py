# The paper's "w/o group" (figure 3b): two branches, fine classes on both.
# On your own COCO files.
_base_ = [
    '../_base_/models/wogroup_r101_fpn.py',
    '../_base_/datasets/custom_detection.py',
    '../_base_/schedules/schedule_finetune_12k.py',
    '../_base_/default_runtime.py',
]
model = dict(backbone=dict(depth=50), roi_head=dict(bbox_head=dict(taxonomy=_base_.taxonomy)))
