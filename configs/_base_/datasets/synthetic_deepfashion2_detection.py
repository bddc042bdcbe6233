# Drawn garments in DeepFashion2's layout (make_synthetic_deepfashion2.py), at their own size.
_base_ = './deepfashion2_detection.py'
data_root = 'data/synthetic_deepfashion2/'
keep_size = dict(type='Resize', scale_factor=1.0)
train_pipeline = _base_.train_pipeline
del train_pipeline[2]
test_pipeline = _base_.test_pipeline
test_pipeline[1] = keep_size
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1]['transforms'][0] = [keep_size]

train_dataloader = dict(batch_size=8, num_workers=1)
val_dataloader = dict(batch_size=8, num_workers=1)
test_dataloader = val_dataloader
