# torch.compile of backbone and neck, for shapes that vary.
custom_hooks = [dict(type='CompileHook', modules=('backbone', 'neck'), dynamic=True)]
