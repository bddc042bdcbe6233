# The paper's merged head (figure 3c): two branches, one result, fine supervision once.
# On DeepFashion2.
_base_ = './faster-rcnn_r101_fpn_df2.py'
model = dict(roi_head=dict(bbox_head=dict(type='MergedBBoxHead')))
