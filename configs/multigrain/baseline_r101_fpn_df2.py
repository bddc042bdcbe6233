# The paper's baseline (figure 3a): one branch, as large as the other variants.
# On DeepFashion2.
_base_ = './faster-rcnn_r101_fpn_df2.py'
model = dict(
    roi_head=dict(bbox_head=dict(type='ConvFCBBoxHead', num_shared_fcs=4, fc_out_channels=1536))
)
