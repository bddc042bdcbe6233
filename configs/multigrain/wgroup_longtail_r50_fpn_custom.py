# The recipe against rare classes: "with group", images of rare classes repeated, and scores corrected
# by the coarse branch and the class counts. On your own COCO files.
_base_ = [
    './wgroup_r50_fpn_custom.py',
    '../_base_/compositions/repeat.py',
    '../_base_/compositions/norcal.py',
]
