# The paper's "w/o group" (figure 3b): each class is its own superclass.
# Small, on drawn garments.
_base_ = './wgroup_r18_fpn_synthetic.py'
model = dict(roi_head=dict(bbox_head=dict(grouped=False)))
