# Cascade R-CNN (arXiv 1712.00726): three box heads like the config's, each on the boxes of the one
# before it, with one box for all classes. The numbers are MMDetection's.
cascade = dict(
    model=dict(
        type='CascadeRCNN',
        roi_head=dict(
            type='CascadeRoIHead',
            num_stages=3,
            stage_loss_weights=[1, 0.5, 0.25],
            bbox_head=[
                dict(reg_class_agnostic=True, bbox_coder=dict(target_stds=[0.1, 0.1, 0.2, 0.2])),
                dict(reg_class_agnostic=True, bbox_coder=dict(target_stds=[0.05, 0.05, 0.1, 0.1])),
                dict(
                    reg_class_agnostic=True,
                    bbox_coder=dict(target_stds=[0.033, 0.033, 0.067, 0.067]),
                ),
            ],
        ),
        train_cfg=dict(
            rcnn=[
                dict(assigner=dict(pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5)),
                dict(assigner=dict(pos_iou_thr=0.6, neg_iou_thr=0.6, min_pos_iou=0.6)),
                dict(assigner=dict(pos_iou_thr=0.7, neg_iou_thr=0.7, min_pos_iou=0.7)),
            ]
        ),
    )
)
