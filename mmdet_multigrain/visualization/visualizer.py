"""MMDetection's visualizer for labels of any granularity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmdet.registry import VISUALIZERS
from mmdet.visualization import DetLocalVisualizer
from mmengine.structures import InstanceData
from PIL import ImageColor

from mmdet_multigrain.taxonomy import Taxonomy

from .palette import NO_SUPERCLASS, Color


@VISUALIZERS.register_module()
class MultiGrainedVisualizer(DetLocalVisualizer):
    """DetLocalVisualizer that can draw boxes of which only the superclass is known.

    Stock looks every label up among the classes, which end before background. Here labels above it
    have the name of their group and the color of its first class.
    """

    def _draw_instances(
        self,
        image: np.ndarray,
        instances: InstanceData,
        classes: Sequence[str] | None,
        palette: Sequence[Color] | None,
    ) -> np.ndarray:
        """The image with boxes and names; see DetLocalVisualizer."""
        taxonomy = self.dataset_meta.get('taxonomy')
        labels = instances.get('labels', ())
        if taxonomy is not None and len(labels) and max(labels) > len(classes):
            table = Taxonomy.load(taxonomy).labels
            firsts = table.sets[len(classes) + 1 :].argmax(1)
            palette = [*palette, ImageColor.getrgb(NO_SUPERCLASS), *(palette[k] for k in firsts)]
            classes = table.names
        return super()._draw_instances(image, instances, classes, palette)
