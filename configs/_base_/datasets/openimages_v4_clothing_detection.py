# Clothing boxes of Open Images V4, as COCO files; everything else as for DeepFashion2.
_base_ = './deepfashion2_detection.py'
data_root = 'data/openimages_v4_clothing/'
dataset_type = 'OpenImagesV4ClothingDataset'

train_dataloader = dict(
    dataset=dict(type=dataset_type, data_root=data_root, data_prefix=dict(img='train/'))
)
val_dataloader = dict(
    dataset=dict(type=dataset_type, data_root=data_root, data_prefix=dict(img='validation/'))
)
test_dataloader = val_dataloader

val_evaluator = dict(
    ann_file=data_root + 'annotations/validation.json',
    train_ann_file=data_root + 'annotations/train.json',
)
test_evaluator = val_evaluator
