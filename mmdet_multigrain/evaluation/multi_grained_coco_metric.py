"""Old name of `evaluation.metrics.multi_grained_coco_metric`, until version 0.3.

Configs that runs of version 0.1 have dumped name it in `custom_imports`. New configs name
`mmdet_multigrain.register`.
"""

from .metrics.multi_grained_coco_metric import MultiGrainedCocoMetric

__all__ = ['MultiGrainedCocoMetric']
