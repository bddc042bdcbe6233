# Mixed precision in fp16 with loss scaling (GPU). RoIs and proposals stay in fp32.
optim_wrapper = dict(type='AmpOptimWrapper', dtype='float16', loss_scale='dynamic')
model = dict(
    rpn_head=dict(type='Float32RPNHead'),
    roi_head=dict(bbox_roi_extractor=dict(type='PlainRoIExtractor')),
)
