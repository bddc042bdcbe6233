"""Evaluation as functions: arrays in, arrays and typed values out. Needs no torch."""
