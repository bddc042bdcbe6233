"""What several benchmarks share: timing in fresh processes, comparing runs."""
