# The paper's "w/o group" (figure 3b): each class is its own superclass.
# On OpenImagesV4-Clothing.
_base_ = './wgroup_r101_fpn_oiv4c.py'
model = dict(roi_head=dict(bbox_head=dict(grouped=False)))
