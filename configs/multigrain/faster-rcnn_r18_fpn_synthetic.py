# Stock Faster R-CNN, for reference beside the variants, which are larger.
# Small, on drawn garments.
_base_ = [
    '../_base_/models/faster-rcnn_r101_fpn.py',
    '../_base_/models/small_r18.py',
    '../_base_/datasets/synthetic_deepfashion2_detection.py',
    '../_base_/schedules/schedule_synthetic.py',
    '../_base_/small_runtime.py',
]
model = _base_.small_model
model['roi_head']['bbox_head'].update(num_classes=13)
