# One kernel for a step of the optimizer (SGD, Adam, AdamW).
optim_wrapper = dict(optimizer=dict(fused=True))
