# Loader processes that stay, work ahead, and hand over memory that the GPU copies by itself.
train_dataloader = dict(persistent_workers=True, pin_memory=True, prefetch_factor=4)
model = dict(data_preprocessor=dict(non_blocking=True))
