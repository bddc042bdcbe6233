"""Multi-grained detection heads for MMDetection.

Importing the package is cheap and needs neither torch nor mmcv: `taxonomy`, `converters` and
`report` work on any machine. What registers itself with MMDetection lives in `models`,
`datasets`, `evaluation` and `engine`; configs name these four in `custom_imports`
(see `configs/_base_/default_runtime.py`).
"""

from mmdet_multigrain.version import __version__

__all__ = ['__version__']
