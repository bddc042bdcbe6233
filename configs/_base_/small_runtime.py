# Run time of the small configs: log and save more often.
_base_ = './default_runtime.py'
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=0.5))
log_processor = dict(window_size=20)
