"""The runner and the training loops, and what they share with the hooks."""
