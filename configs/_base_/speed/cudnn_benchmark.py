# cuDNN tries its algorithms once for each shape; padding to multiples of 128 keeps shapes few.
env_cfg = dict(cudnn_benchmark=True)
model = dict(data_preprocessor=dict(pad_size_divisor=128))
