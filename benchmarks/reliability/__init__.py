"""Killing, watching and fuzzing: what the guarantees in docs/reliability.md were tested with."""
