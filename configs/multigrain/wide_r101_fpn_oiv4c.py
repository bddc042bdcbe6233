# Stock's two FC layers, widened: as large as wgroup within 1%, for up to 80 classes.
# On OpenImagesV4-Clothing.
_base_ = './faster-rcnn_r101_fpn_oiv4c.py'
model = dict(roi_head=dict(bbox_head=dict(fc_out_channels=1856)))
