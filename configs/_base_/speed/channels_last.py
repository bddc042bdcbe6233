# Convolutions in NHWC. RoIAlign gets contiguous features: mmcv's misreads others.
custom_hooks = [dict(type='ChannelsLastHook')]
model = dict(roi_head=dict(bbox_roi_extractor=dict(type='PlainRoIExtractor')))
