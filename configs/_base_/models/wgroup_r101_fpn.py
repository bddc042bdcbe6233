# Figure 3b with grouping: superclasses on the coarse branch, fine classes on the fine one.
_base_ = './faster-rcnn_r101_fpn.py'
model = dict(
    roi_head=dict(
        bbox_head=dict(
            type='MultiGrainedBBoxHead',
            branch_fcs=(1, 2),
            coarse_width='classes',
            reg_weights=(0, 1),
            loss_cls=dict(
                _delete_=True, type='HierarchicalCrossEntropyLoss', level_weights=(1.0, 1.0)
            ),
        )
    )
)
