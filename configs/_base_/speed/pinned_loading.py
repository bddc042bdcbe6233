# Loader workers that persist, prefetch, and return pinned memory, which the GPU copies by itself.
train_dataloader = dict(persistent_workers=True, pin_memory=True, prefetch_factor=4)
model = dict(data_preprocessor=dict(non_blocking=True))
