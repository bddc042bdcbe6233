# The paper's merged head (figure 3c): two branches, one result, fine supervision once.
# On OpenImagesV4-Clothing.
_base_ = './faster-rcnn_r101_fpn_oiv4c.py'
model = dict(roi_head=dict(bbox_head=dict(type='MergedBBoxHead')))
