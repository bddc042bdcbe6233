# Stock's two FC layers, widened: as large as wgroup within 1%, for up to 80 classes.
# Small, on drawn garments.
_base_ = './faster-rcnn_r18_fpn_synthetic.py'
model = dict(roi_head=dict(bbox_head=dict(fc_out_channels=484)))
