# Stock RTMDet-tiny, the reference of nodes_rtmdet-tiny_custom.py; experimental (docs/one_stage.md).
# On your own COCO files.
_base_ = [
    '../_base_/datasets/custom_640_detection.py',
    '../_base_/schedules/schedule_pretrained.py',
    '../_base_/default_runtime.py',
]
from mmengine.hub import get_config  # noqa: E402 (a base that shares keys with ours)

model = get_config('mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py').model
model.backbone.pop('init_cfg')  # load_from has the backbone, too
model.bbox_head.num_classes = None  # from the taxonomy, when the run is built
model.data_preprocessor.pad_size_divisor = 32
optim_wrapper = dict(paramwise_cfg=dict(bypass_duplicate=True))
load_from = 'https://download.openmmlab.com/mmdetection/v3.0/rtmdet/rtmdet_tiny_8xb32-300e_coco/rtmdet_tiny_8xb32-300e_coco_20220902_112414-78e30dcc.pth'  # noqa: E501
