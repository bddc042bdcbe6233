# Small enough for two CPU cores and training from scratch: ResNet-18 with
# nothing frozen, half the channels in FPN, RPN and head, fewer proposals, and 32 of them with one
# RoIAlign sample per bin to learn from (with 64 and four, RoIAlign costs more on a CPU than all
# convolutions; AP50 of the quickstart was 57.1 then, 57.7 with these, one seed each).
# Photos are small too, so anchors are half as large as usual (16 to 256 px), and each box gets the
# anchor that fits it best, however badly: above 0, since at 0 a box that no anchor touches would
# get them all.
_base_ = './faster-rcnn_r101_fpn.py'
model = dict(
    backbone=dict(depth=18, frozen_stages=-1, norm_eval=False),
    neck=dict(in_channels=[64, 128, 256, 512], out_channels=128),
    rpn_head=dict(in_channels=128, feat_channels=128, anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=dict(roi_layer=dict(sampling_ratio=1), out_channels=128),
        bbox_head=dict(in_channels=128, fc_out_channels=256),
    ),
    train_cfg=dict(
        rpn=dict(assigner=dict(min_pos_iou=1e-3)),
        rpn_proposal=dict(nms_pre=1000, max_per_img=300),
        rcnn=dict(sampler=dict(num=32)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=100)),
)
