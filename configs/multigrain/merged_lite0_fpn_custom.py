# The paper's merged head (figure 3c): two branches, one result, fine supervision once.
# Small, with an ImageNet backbone, on your own COCO files.
_base_ = './faster-rcnn_lite0_fpn_custom.py'
model = dict(roi_head=dict(bbox_head=dict(type='MergedBBoxHead')))
