# Your own COCO files. Nothing to edit: the environment says where they are.
#   MULTIGRAIN_DATA       folder of everything below       (default data/custom)
#   MULTIGRAIN_TRAIN_ANN  training annotations             (default train.json)
#   MULTIGRAIN_VAL_ANN    validation annotations           (default val.json)
#   MULTIGRAIN_IMAGES     folder of the images             (default photos/)
#   MULTIGRAIN_TAXONOMY   taxonomy, a YAML file or name    (default: the supercategories of the
#                         training annotations)
# The tools also take them as --cfg-options data_root=... train_ann=... val_ann=... images=...
# taxonomy=...
import importlib
import os

_base_ = './deepfashion2_detection.py'
dataset_type = 'SuperclassCocoDataset'
data_root = os.path.join(os.environ.get('MULTIGRAIN_DATA', 'data/custom'), '')
train_ann = os.environ.get('MULTIGRAIN_TRAIN_ANN', 'train.json')
val_ann = os.environ.get('MULTIGRAIN_VAL_ANN', 'val.json')
images = os.environ.get('MULTIGRAIN_IMAGES', 'photos/')
# Configs may import built-in modules only. The taxonomy stands here as a mapping, so that the
# config a run writes down is complete without the taxonomy's file.
_taxonomy = importlib.import_module('mmdet_multigrain.taxonomy').Taxonomy.load(
    os.environ.get('MULTIGRAIN_TAXONOMY') or os.path.join(data_root, train_ann)
)
taxonomy = _taxonomy.to_dict()
num_classes = _taxonomy.num_classes
del _taxonomy

train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        type=dataset_type,
        taxonomy=taxonomy,
        data_root=data_root,
        ann_file=train_ann,
        data_prefix=dict(img=images),
    ),
)
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        taxonomy=taxonomy,
        data_root=data_root,
        ann_file=val_ann,
        data_prefix=dict(img=images),
    )
)
test_dataloader = val_dataloader

val_evaluator = dict(
    ann_file=os.path.join(data_root, val_ann), train_ann_file=os.path.join(data_root, train_ann)
)
test_evaluator = val_evaluator
