# Training of a small detector with a pretrained backbone on a laptop.
_base_ = './schedule_scratch.py'
epochs = 24
optim_wrapper = dict(
    optimizer=dict(lr=3e-4), paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0)
)
