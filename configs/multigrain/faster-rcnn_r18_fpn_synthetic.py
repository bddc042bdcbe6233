# Stock Faster R-CNN, the reference: the variants are larger.
# Small, on drawn garments.
_base_ = [
    '../_base_/models/faster-rcnn_r18_fpn.py',
    '../_base_/datasets/synthetic_deepfashion2_detection.py',
    '../_base_/schedules/schedule_synthetic.py',
    '../_base_/small_runtime.py',
]
