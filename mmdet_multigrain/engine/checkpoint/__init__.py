"""Checkpoints: written whole, verified, found again, and read without running code."""
