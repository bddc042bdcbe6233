# Stock's two FC layers, widened: as large as wgroup within 1%, for up to 80 classes.
# Small, with an ImageNet backbone, on your own COCO files.
_base_ = './faster-rcnn_lite0_fpn_custom.py'
model = dict(roi_head=dict(bbox_head=dict(fc_out_channels=900)))
