"""What of a run's log the console shows; the log file in the work folder gets all of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def console_from(level: int, logger: logging.Logger) -> Iterator[None]:
    """Keep messages below a level off the console for a while.

    Args:
        level: Of `logging`, such as `logging.WARNING`.
        logger: The run's. With the log level DEBUG its console shows everything.
    """

    def is_shown(record: logging.LogRecord) -> bool:
        return record.levelno >= level

    consoles = [
        handler
        for handler in logger.handlers
        if isinstance(handler, logging.StreamHandler)
        and not isinstance(handler, logging.FileHandler)
        and handler.level > logging.DEBUG
    ]
    for handler in consoles:
        # After MMEngine's filter of warnings that come again: one that is hidden stays hidden.
        handler.addFilter(is_shown)
    try:
        yield
    finally:
        for handler in consoles:
            handler.removeFilter(is_shown)
