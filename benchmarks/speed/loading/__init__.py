"""Parts of the benchmark of data loading."""
