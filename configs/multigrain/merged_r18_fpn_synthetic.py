# The paper's merged head (figure 3c): two branches, one result, fine supervision once.
# Small, on drawn garments.
_base_ = './faster-rcnn_r18_fpn_synthetic.py'
model = dict(roi_head=dict(bbox_head=dict(type='MergedBBoxHead')))
