# Mixed precision in bf16. RoIs and proposals stay in fp32: mmcv's RoIAlign has no kernel for bf16.
optim_wrapper = dict(type='AutocastOptimWrapper', dtype='bfloat16')
model = dict(
    rpn_head=dict(type='Float32RPNHead'),
    roi_head=dict(bbox_roi_extractor=dict(type='PlainRoIExtractor')),
)
