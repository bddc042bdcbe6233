"""What tools/benchmark_converters.py runs, one module for each release, and how it measures."""
