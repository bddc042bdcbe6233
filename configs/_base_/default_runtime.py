# Run time of all configs: iteration-based, everything counted in iterations.
default_scope = 'mmdet'
runner_type = 'MultigrainRunner'
custom_imports = dict(imports=['mmdet_multigrain.register'], allow_failed_imports=False)

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='ProgressLoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='SafeCheckpointHook',
        by_epoch=False,
        interval=0.025,  # of the run
        max_keep_ckpts=3,
        save_best='coco/bbox_mAP',
        rule='greater',
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    iteration_seed=dict(type='IterationSeedHook'),
    exact_resume=dict(type='ExactResumeHook', allow_world_size_change=False),
    graceful_stop=dict(type='GracefulStopHook'),
    visualization=dict(type='PictureHook'),
)
custom_hooks = [
    dict(type='PreflightHook'),
    dict(type='CheckpointReportHook'),
    dict(type='BadImageHook'),
    dict(type='FiniteLossHook'),
]

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=False)
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='MultiGrainedVisualizer', vis_backends=vis_backends, name='visualizer')

log_level = 'INFO'
resume = False

# tools/test.py --tta
tta_model = dict(
    type='DetTTAModel', tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100)
)
