# Figure 3b without grouping: each class is its own superclass.
_base_ = './wgroup_r101_fpn.py'
model = dict(roi_head=dict(bbox_head=dict(grouped=False)))
