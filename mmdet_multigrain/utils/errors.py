"""The base of all errors that this package raises for its users, and the ones of no single room.

A `MultigrainError` has a message for users: one line that names the file, the thing and the fix.
Command lines print it as it is; any other exception is a fault of ours or of a library.
"""

from __future__ import annotations


class MultigrainError(ValueError):
    """Something the user can fix; the message is one line that says what and how."""


class ConfigError(MultigrainError):
    """A config, an option or an argument that cannot be used as it is."""
