"""Backbones for small machines."""
