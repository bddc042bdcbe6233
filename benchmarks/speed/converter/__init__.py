"""Parts of the benchmark of converters: input of each release's shape, and what is run on it."""
