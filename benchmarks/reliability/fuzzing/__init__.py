"""Broken files for every reader: documents, damage, readers, and what counts as a failure."""
