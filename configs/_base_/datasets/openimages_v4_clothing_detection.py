# Clothing boxes of Open Images V4, converted by tools/dataset_converters/openimages_v4.py.
_base_ = './coco_detection.py'
data_root = 'data/openimages_v4_clothing/'
train_ann = 'annotations/train.json'
val_ann = 'annotations/validation.json'
images = 'train/'
val_images = 'validation/'
taxonomy = 'openimages_v4_clothing'

train_dataloader = dict(batch_size=3, dataset=dict(type='OpenImagesV4ClothingDataset'))
val_dataloader = dict(dataset=dict(type='OpenImagesV4ClothingDataset'))
test_dataloader = val_dataloader
