# The paper's "w/o group" (figure 3b): each class is its own superclass.
# On DeepFashion2.
_base_ = './wgroup_r101_fpn_df2.py'
model = dict(roi_head=dict(bbox_head=dict(grouped=False)))
