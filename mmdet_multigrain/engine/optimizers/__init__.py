"""Optimizer wrappers, registered."""
