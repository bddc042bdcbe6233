"""Experiments of many training runs: a file of runs, a queue, results and their report."""
