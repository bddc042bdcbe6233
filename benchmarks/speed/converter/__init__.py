"""Parts of the benchmark of converters, by release."""
