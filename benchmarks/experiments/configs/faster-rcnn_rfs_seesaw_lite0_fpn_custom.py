# Stock Faster R-CNN with what is used against long tails: images of rare classes repeated (LVIS,
# arXiv 1908.03195) and SeesawLoss (arXiv 2008.10032).
_base_ = '../../../configs/multigrain/faster-rcnn_lite0_fpn_custom.py'
dataset = _base_.train_dataloader.dataset
train_dataloader = dict(
    dataset=dict(_delete_=True, type='ClassBalancedDataset', oversample_thr=0.1, dataset=dataset)
)
model = dict(
    roi_head=dict(bbox_head=dict(loss_cls=dict(_delete_=True, type='SeesawLoss', num_classes=None)))
)
