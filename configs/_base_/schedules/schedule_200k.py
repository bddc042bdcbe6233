# The paper's schedule (section 4.1), for all variants: 200,000 iterations of 24 images.
# Fractions are parts of the run's length. Warm-up: Detectron2's default; the paper does not name
# one.
max_iters = 200000
train_cfg = dict(type='ExactIterBasedTrainLoop', max_iters=None, val_interval=0.05)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(type='MultiStepLR', by_epoch=False, begin=0, end=1.0, milestones=[0.75, 0.875], gamma=0.1),
]
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='SGD', lr=0.005, momentum=0.9, weight_decay=0.0001)
)
# 24 = 8 GPUs x 3 images. With another number: --auto-scale-lr.
auto_scale_lr = dict(enable=False, base_batch_size=24)
# "The shared backbone is pre-trained on the MS-COCO dataset." These weights have 41.8 box AP.
load_from = 'https://download.openmmlab.com/mmdetection/v2.0/faster_rcnn/faster_rcnn_r101_fpn_mstrain_3x_coco/faster_rcnn_r101_fpn_mstrain_3x_coco_20210524_110822-4d4d2ca8.pth'  # noqa: E501
