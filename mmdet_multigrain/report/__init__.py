"""Tables, plots and pictures made from data files and result files.

Each kind of report has its own modules: one computes a typed value, others render it. What they
share: `table` (text, Markdown, CSV), `style` (figures, colors), `paper` (published numbers).
Nothing here imports torch, mmcv, mmengine or mmdet, or keeps state between two figures.
"""
