"""From a public release to COCO JSON, and a drawn stand-in for a release.

One module per release. Nothing here imports torch, mmcv, mmengine or mmdet.
"""
