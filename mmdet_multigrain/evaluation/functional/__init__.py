"""Evaluation as functions: arrays in, arrays and typed values out. Needs neither torch nor mmdet."""
