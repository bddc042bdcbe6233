# Your own COCO files at 400 x 267 px, for a pretrained detector on a laptop. ratio_range varies the
# size of training photos, never above that of test photos: a batch costs as much as its largest.
# If size tells classes apart: --cfg-options "train_pipeline.2.ratio_range=(1.0,1.0)".
_base_ = './custom_small_detection.py'
train_pipeline = _base_.train_pipeline
train_pipeline[2] = dict(
    type='RandomResize', scale=(400, 267), ratio_range=(0.75, 1.0), keep_ratio=True
)
test_pipeline = _base_.test_pipeline
test_pipeline[1] = dict(type='Resize', scale=(400, 267), keep_ratio=True)
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1]['transforms'][0] = [test_pipeline[1]]
