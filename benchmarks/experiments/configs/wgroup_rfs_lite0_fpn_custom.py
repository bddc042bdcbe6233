# wgroup, with images of rare classes repeated as in faster-rcnn_rfs_seesaw.
_base_ = [
    '../../../configs/multigrain/wgroup_lite0_fpn_custom.py',
    '../../../configs/_base_/compositions/repeat.py',
]
