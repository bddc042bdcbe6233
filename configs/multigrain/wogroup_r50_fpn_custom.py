# The paper's "w/o group" (figure 3b): each class is its own superclass.
# On your own COCO files.
_base_ = './wgroup_r50_fpn_custom.py'
model = dict(roi_head=dict(bbox_head=dict(grouped=False)))
