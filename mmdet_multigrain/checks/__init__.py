"""What can be wrong with a COCO detection file and its photos: found, reported and fixed.

One module per subject (structure, ids, boxes, images, classes, ...) with its `CHECKS`, all on the
tolerant model of a file in `data`; `dataset` runs them, `report` shows what they found, `fix` writes
a repaired copy. Nothing here imports torch, mmcv, mmengine or mmdet.
"""
