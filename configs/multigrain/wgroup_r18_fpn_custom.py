# The paper's "with group" (figure 3b): superclasses on the coarse branch.
# Small, on your own COCO files.
_base_ = './faster-rcnn_r18_fpn_custom.py'
model = dict(
    roi_head=dict(
        bbox_head=dict(
            type='MultiGrainedBBoxHead',
            coarse_width='classes',
            loss_cls=dict(_delete_=True, type='HierarchicalCrossEntropyLoss'),
        )
    )
)
