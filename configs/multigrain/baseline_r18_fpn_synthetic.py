# The paper's baseline (figure 3a): one branch, as large as the other variants.
# Small, on drawn garments.
_base_ = [
    '../_base_/models/baseline_r101_fpn.py',
    '../_base_/models/small_r18.py',
    '../_base_/datasets/synthetic_deepfashion2_detection.py',
    '../_base_/schedules/schedule_synthetic.py',
    '../_base_/small_runtime.py',
]
model = _base_.small_model
model['roi_head']['bbox_head'].update(num_classes=13, fc_out_channels=448)
