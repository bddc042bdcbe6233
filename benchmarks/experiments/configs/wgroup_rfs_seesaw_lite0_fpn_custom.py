# wgroup, with what faster-rcnn_rfs_seesaw has: repeated images, and SeesawLoss on the fine branch.
_base_ = ['./wgroup_rfs_lite0_fpn_custom.py', '../../../configs/_base_/compositions/seesaw.py']
