"""Dense heads that two-stage detectors use in place of the stock ones."""

from .float32_rpn_head import Float32RPNHead

__all__ = ['Float32RPNHead']
