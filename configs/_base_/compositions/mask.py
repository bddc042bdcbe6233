# Mask R-CNN (arXiv 1703.06870): a mask of each class for each detection, and their AP ("segm"). All
# training and validation boxes need a `segmentation`. RoIs of masks are read as options for speed
# need it; without them, as by the stock extractor.
mask = dict(
    model=dict(
        type='MaskRCNN',
        data_preprocessor=dict(pad_mask=True),
        roi_head=dict(
            mask_roi_extractor=dict(
                _get_='model.roi_head.bbox_roi_extractor',
                type='PlainRoIExtractor',
                roi_layer=dict(output_size=14),
            ),
            mask_head=dict(
                type='FCNMaskHead',
                num_convs=4,
                in_channels=dict(_get_='model.roi_head.bbox_roi_extractor.out_channels'),
                conv_out_channels=dict(_get_='model.roi_head.bbox_roi_extractor.out_channels'),
                num_classes=None,
                loss_mask=dict(type='CrossEntropyLoss', use_mask=True, loss_weight=1.0),
            ),
        ),
        train_cfg=dict(rcnn=dict(mask_size=28)),
        test_cfg=dict(rcnn=dict(mask_thr_binary=0.5)),
    ),
    train_pipeline=dict(_of_='LoadAnnotations', with_mask=True),
    val_evaluator=dict(metric=['bbox', 'segm']),
    test_evaluator=dict(metric=['bbox', 'segm']),
)
