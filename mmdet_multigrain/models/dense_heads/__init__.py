"""Dense heads that replace the stock ones in two-stage detectors."""

from .float32_rpn_head import Float32RPNHead

__all__ = ['Float32RPNHead']
