"""What the benchmarks share: arguments, rounds, paired ratios, fresh processes, run records."""
