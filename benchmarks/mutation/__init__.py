"""Mutation tests: whether the tests notice single small faults in the package."""
