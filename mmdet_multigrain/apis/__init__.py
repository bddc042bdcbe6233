"""A trained detector for use from Python."""
