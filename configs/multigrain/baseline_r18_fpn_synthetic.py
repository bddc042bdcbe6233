# The paper's baseline (figure 3a): one branch, as large as the other variants.
# Small, on drawn garments.
_base_ = './faster-rcnn_r18_fpn_synthetic.py'
model = dict(
    roi_head=dict(bbox_head=dict(type='ConvFCBBoxHead', num_shared_fcs=4, fc_out_channels=448))
)
