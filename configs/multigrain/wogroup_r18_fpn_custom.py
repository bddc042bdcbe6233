# The paper's "w/o group" (figure 3b): two branches, fine classes on both, small.
# On your own COCO files.
_base_ = [
    '../_base_/models/wogroup_r101_fpn.py',
    '../_base_/models/small_r18.py',
    '../_base_/datasets/custom_small_detection.py',
    '../_base_/schedules/schedule_scratch_small.py',
    '../_base_/small_runtime.py',
]
model = _base_.small_model
model['roi_head']['bbox_head'].update(taxonomy=_base_.taxonomy)
