"""Detectors that hand on labels which stock ones do not know."""
