# Stock DINO R50, the reference of nodes_dino_r50_custom.py; experimental (docs/one_stage.md).
# On your own COCO files.
_base_ = [
    '../_base_/datasets/custom_detection.py',
    '../_base_/schedules/schedule_dino.py',
    '../_base_/default_runtime.py',
]
from mmengine.hub import get_config  # noqa: E402 (a base that shares keys with ours)

model = get_config('mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py').model
model.backbone.pop('init_cfg')  # load_from has the backbone, too
model.bbox_head.num_classes = None  # from the taxonomy, when the run is built
train_dataloader = dict(batch_size=2)
