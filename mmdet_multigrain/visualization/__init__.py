"""Pictures and figures: boxes on photos, labels, styles, colors. Only `visualizer` needs torch."""
