"""Tables, plots and pictures made from data files and result files.

Each kind of report has its own folder: some modules compute a typed value, others render it. They
share `axes` and `templates`. Nothing here imports torch, mmcv, mmengine or mmdet.
"""
