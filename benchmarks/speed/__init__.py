"""Time of training, inference, loading, evaluation, conversion and resuming."""
