# Beyond the paper: "with group", and SeesawLoss (arXiv 2008.10032) on the fine branch.
_base_ = './wgroup_r101_fpn_df2.py'
model = dict(roi_head=dict(bbox_head=dict(loss_cls=dict(fine_loss=dict(type='SeesawLoss')))))
