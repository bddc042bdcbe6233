"""Pictures and figures: boxes on photos, labels, styles, colors. Needs no torch."""
