# DINO R50 with an output for each class and each superclass; experimental (docs/one_stage.md).
# On your own COCO files.
_base_ = './dino_r50_custom.py'
model = dict(type='NodeDINO', bbox_head=dict(type='NodeDINOHead'))
