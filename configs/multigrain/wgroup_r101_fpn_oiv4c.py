# The paper's "with group" (figure 3b): superclasses on the coarse branch.
# On OpenImagesV4-Clothing.
_base_ = './faster-rcnn_r101_fpn_oiv4c.py'
model = dict(
    roi_head=dict(
        bbox_head=dict(
            type='MultiGrainedBBoxHead',
            coarse_width='classes',
            loss_cls=dict(_delete_=True, type='HierarchicalCrossEntropyLoss'),
        )
    )
)
