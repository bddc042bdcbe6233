# TF32 in matrix products (the FC layers). PyTorch lets convolutions use it anyway.
custom_hooks = [dict(type='MatmulPrecisionHook', precision='high')]
