# Your own COCO files at 400 x 267 px, for a pretrained detector on a laptop. A few hundred photos are
# learned by heart within few epochs, so each is shown in part, in other sizes and colors; never above
# the size of test photos, as a batch costs as much as its largest one.
# If size tells classes apart: --cfg-options train_pipeline.2.min_crop_size=1
# "train_pipeline.2.ratio_range=(1.0,1.0)"; if color does, train_pipeline.3 (docs/training.md).
_base_ = './custom_small_detection.py'
train_pipeline = _base_.train_pipeline
train_pipeline[2] = dict(
    type='RandomCropResize',
    scale=(400, 267),
    ratio_range=(0.6, 1.0),
    keep_ratio=True,
    min_crop_size=0.5,
)
train_pipeline.insert(
    3,
    dict(
        type='PhotoMetricDistortion',
        brightness_delta=20,
        contrast_range=(0.7, 1.3),
        saturation_range=(0.7, 1.3),
        hue_delta=6,
    ),
)
test_pipeline = _base_.test_pipeline
test_pipeline[1] = dict(type='Resize', scale=(400, 267), keep_ratio=True)
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1]['transforms'][0] = [test_pipeline[1]]
