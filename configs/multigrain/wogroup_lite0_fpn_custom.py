# The paper's "w/o group" (figure 3b): each class is its own superclass.
# Small, with an ImageNet backbone, on your own COCO files.
_base_ = './wgroup_lite0_fpn_custom.py'
model = dict(roi_head=dict(bbox_head=dict(grouped=False)))
