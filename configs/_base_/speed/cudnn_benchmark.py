# cuDNN tries its algorithms once for each shape; padding to multiples of 64 makes shapes fewer.
env_cfg = dict(cudnn_benchmark=True)
model = dict(data_preprocessor=dict(pad_size_divisor=64))
