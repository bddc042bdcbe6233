# The paper's "with group" (figure 3b): superclasses on the coarse branch.
# On DeepFashion2.
_base_ = './faster-rcnn_r101_fpn_df2.py'
model = dict(
    roi_head=dict(
        bbox_head=dict(
            type='MultiGrainedBBoxHead',
            coarse_width='classes',
            loss_cls=dict(_delete_=True, type='HierarchicalCrossEntropyLoss'),
        )
    )
)
