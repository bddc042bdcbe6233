"""A trained detector as files that load without this package."""
