# Figure 3a, enlarged to the size of the multi-grained heads: 4 FC layers of 1536 (72.9 M).
_base_ = './faster-rcnn_r101_fpn.py'
model = dict(
    roi_head=dict(bbox_head=dict(type='ConvFCBBoxHead', num_shared_fcs=4, fc_out_channels=1536))
)
