"""Assigners that replace the stock ones."""
