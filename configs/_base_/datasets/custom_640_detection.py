# Your own COCO files at 640 px, for RTMDet: its second stage of training, without mosaic and mixup,
# which keep photos from one iteration to another.
_base_ = './custom_detection.py'
train_pipeline = _base_.train_pipeline
train_pipeline[2] = dict(
    type='RandomResize', scale=(640, 640), ratio_range=(0.5, 2.0), keep_ratio=True
)
train_pipeline.insert(3, dict(type='RandomCrop', crop_size=(640, 640), allow_negative_crop=True))
train_pipeline.insert(4, dict(type='YOLOXHSVRandomAug'))
test_pipeline = _base_.test_pipeline
test_pipeline[1] = dict(type='Resize', scale=(640, 640), keep_ratio=True)
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1]['transforms'][0] = [
    dict(type='Resize', scale=(size, size), keep_ratio=True) for size in (320, 640, 960)
]
