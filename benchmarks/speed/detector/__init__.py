"""Parts of the benchmark of detectors."""
