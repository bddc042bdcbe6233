"""COCO JSON, read and written: strictly, tolerantly, as columns of boxes. Needs no torch."""
