# Stock Faster R-CNN, for reference beside the variants, which are larger.
# Small, on your own COCO files.
_base_ = [
    '../_base_/models/faster-rcnn_r101_fpn.py',
    '../_base_/models/small_r18.py',
    '../_base_/datasets/custom_small_detection.py',
    '../_base_/schedules/schedule_scratch_small.py',
    '../_base_/small_runtime.py',
]
model = _base_.small_model
model['roi_head']['bbox_head'].update(num_classes=_base_.num_classes)
