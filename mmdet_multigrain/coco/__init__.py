"""Read COCO JSON strictly, tolerantly or as columns of boxes, and write it. Needs no torch."""
