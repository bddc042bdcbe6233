# Your own COCO files at 200 x 300 px, for a small detector on a laptop.
_base_ = './custom_detection.py'
resize = dict(type='Resize', scale=(300, 200), keep_ratio=True)
train_pipeline = _base_.train_pipeline
train_pipeline[2] = resize
test_pipeline = _base_.test_pipeline
test_pipeline[1] = resize
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1]['transforms'][0] = [resize]

train_dataloader = dict(num_workers=1)
val_dataloader = dict(batch_size=4, num_workers=1)
test_dataloader = val_dataloader
