# Run time of the small configs: shorter intervals, one checkpoint at the end of each half.
_base_ = './default_runtime.py'
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(interval=440))
log_processor = dict(window_size=20)
