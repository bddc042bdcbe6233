# For a few hundred photos on a laptop: EfficientNet-Lite0 with ImageNet weights from a package
# (requirements/lite0.txt). Its stem and first two stages stay frozen, so that no gradient passes
# through its largest maps. Width of the head: model.roi_head.bbox_head.fc_out_channels. 64 RoIs of a
# photo learn: a CPU spends its time on the stride 4 convolutions of FPN and RPN, not on the head.
# Rare classes have low scores after a short run: detections from 0.01 on count, which cannot lower
# AP.
_base_ = './faster-rcnn_r18_fpn.py'
model = dict(
    data_preprocessor=dict(mean=[127.0, 127.0, 127.0], std=[128.0, 128.0, 128.0]),
    backbone=dict(
        _delete_=True,
        type='EfficientNetLite',
        out_indices=(0, 1, 2, 3),
        frozen_stages=2,
        norm_eval=True,
        init_cfg=dict(type='PackagedEfficientNetLite0'),
    ),
    neck=dict(in_channels=[24, 40, 112, 320], out_channels=96),
    rpn_head=dict(in_channels=96, feat_channels=96),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=96),
        bbox_head=dict(in_channels=96, fc_out_channels=512),
    ),
    train_cfg=dict(rpn_proposal=dict(nms_pre=300), rcnn=dict(sampler=dict(num=64))),
    test_cfg=dict(rcnn=dict(score_thr=0.01)),
)
# Batch norm that does not learn its statistics goes into its convolution.
efficient_conv_bn_eval = ['backbone']
