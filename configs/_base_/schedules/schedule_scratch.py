# Training of a small detector from scratch on a laptop: AdamW, cosine decay, batch 8.
# Fractions are parts of the run's length.
epochs = 10
train_cfg = dict(type='ExactIterBasedTrainLoop', max_iters=None, val_interval=0.5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=50, end=1.0, eta_min_ratio=0.01),
]
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-4, weight_decay=0.05),
    clip_grad=dict(max_norm=10.0),
)
auto_scale_lr = dict(enable=False, base_batch_size=8)
