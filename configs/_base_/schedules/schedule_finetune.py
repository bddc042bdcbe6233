# Fine-tuning of a COCO detector: MMDetection's 2x schedule, batch 8. 24 epochs are 12,000 iterations
# for 4,000 photos.
_base_ = './schedule_200k.py'
max_iters = None
epochs = 24
train_cfg = dict(val_interval=1 / 12)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(
        type='MultiStepLR', by_epoch=False, begin=0, end=1.0, milestones=[2 / 3, 11 / 12], gamma=0.1
    ),
]
optim_wrapper = dict(optimizer=dict(lr=0.01))
auto_scale_lr = dict(base_batch_size=8)
# 40.3 box AP.
load_from = 'https://download.openmmlab.com/mmdetection/v2.0/faster_rcnn/faster_rcnn_r50_fpn_mstrain_3x_coco/faster_rcnn_r50_fpn_mstrain_3x_coco_20210524_110822-e10bd31c.pth'  # noqa: E501
