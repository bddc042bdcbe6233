# The paper's baseline (figure 3a): one branch, as large as the other variants.
# Small, with an ImageNet backbone, on your own COCO files.
_base_ = './faster-rcnn_lite0_fpn_custom.py'
model = dict(
    roi_head=dict(bbox_head=dict(type='ConvFCBBoxHead', num_shared_fcs=4, fc_out_channels=732))
)
