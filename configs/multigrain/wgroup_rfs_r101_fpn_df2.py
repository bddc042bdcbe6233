# Beyond the paper: "with group", and images of rare classes repeated (LVIS, arXiv 1908.03195).
_base_ = './wgroup_r101_fpn_df2.py'
dataset = _base_.train_dataloader.dataset
train_dataloader = dict(
    dataset=dict(_delete_=True, type='ClassBalancedDataset', oversample_thr=0.1, dataset=dataset)
)
