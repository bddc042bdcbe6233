"""Dense heads that replace the stock ones: of two-stage detectors, and of RTMDet and DINO."""

from .float32_rpn_head import Float32RPNHead
from .node_dino_head import NodeDINOHead
from .node_head import NodeHead
from .node_rtmdet_head import NodeRTMDetSepBNHead

__all__ = ['Float32RPNHead', 'NodeDINOHead', 'NodeHead', 'NodeRTMDetSepBNHead']
