"""Scripts that measure speed and reliability; run them from the repository root with `python -m`."""
