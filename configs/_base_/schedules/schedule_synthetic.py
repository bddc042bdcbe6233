# A few minutes on two CPU cores for the drawn garments.
_base_ = './schedule_scratch.py'
epochs = None
max_iters = 500
train_cfg = dict(val_interval=1.0)
