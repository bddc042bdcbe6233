# One kernel for a step of the optimiser (SGD, Adam, AdamW).
optim_wrapper = dict(optimizer=dict(fused=True))
