# Figure 3c: both branches, their features merged, fine supervision once at the end.
_base_ = './faster-rcnn_r101_fpn.py'
model = dict(roi_head=dict(bbox_head=dict(type='MergedBBoxHead', branch_fcs=(1, 2))))
