"""Dense heads that replace the stock ones: of two-stage detectors, and of RTMDet and DINO."""
