# RTMDet-tiny with an output for each class and each superclass; experimental (docs/one_stage.md).
# On your own COCO files.
_base_ = './rtmdet-tiny_custom.py'
model = dict(
    bbox_head=dict(type='NodeRTMDetSepBNHead'),
    train_cfg=dict(assigner=dict(type='NodeSoftLabelAssigner')),
)
