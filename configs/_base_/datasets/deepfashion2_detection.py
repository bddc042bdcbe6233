# DeepFashion2 as released, converted by tools/dataset_converters/deepfashion2.py.
_base_ = './coco_detection.py'
data_root = 'data/deepfashion2/'
train_ann = 'annotations/train.json'
val_ann = 'annotations/validation.json'
images = 'train/image/'
val_images = 'validation/image/'
taxonomy = 'deepfashion2'

train_dataloader = dict(batch_size=3, dataset=dict(type='DeepFashion2Dataset'))
val_dataloader = dict(dataset=dict(type='DeepFashion2Dataset'))
test_dataloader = val_dataloader
