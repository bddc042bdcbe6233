# A COCO data set: what all data sets share. A child sets the keys that differ; what is None is
# filled in from them when the run is built (docs/training.md, "Keys of a config").
data_root = None
train_ann = None
val_ann = None
test_ann = None  # default: val_ann
images = None
val_images = None  # default: images
taxonomy = 'auto'  # the supercategories of the training annotations
empty_photos = 'drop'  # or 'keep': photos without objects

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='RandomChoiceResize',
        scales=[(1333, 640), (1333, 672), (1333, 704), (1333, 736), (1333, 768), (1333, 800)],
        keep_ratio=True,
    ),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
_meta_keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(1333, 800), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=_meta_keys),
]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale=(1333, size), keep_ratio=True) for size in (640, 800, 960)],
            [dict(type='RandomFlip', prob=1.0), dict(type='RandomFlip', prob=0.0)],
            [dict(type='PackDetInputs', meta_keys=(*_meta_keys, 'flip', 'flip_direction'))],
        ],
    ),
]

train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='ExactInfiniteSampler'),
    batch_sampler=dict(type='ExactAspectRatioBatchSampler'),
    dataset=dict(
        type='SuperclassCocoDataset',
        taxonomy=None,
        data_root=None,
        ann_file=None,
        data_prefix=dict(img=None),
        on_bad_image='stop',
        filter_cfg=dict(filter_empty_gt=None, min_size=32),
        pipeline=None,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='SuperclassCocoDataset',
        taxonomy=None,
        data_root=None,
        ann_file=None,
        data_prefix=dict(img=None),
        test_mode=True,
        pipeline=None,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type='MultiGrainedCocoMetric', ann_file=None, train_ann_file=None)
test_evaluator = val_evaluator
