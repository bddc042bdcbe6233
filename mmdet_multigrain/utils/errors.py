"""All errors that this package raises for its users.

The message of a `MultigrainError` is one line that names the file, the thing and the fix. Command
lines print it as it is; any other exception is a bug, here or in a library.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence


class MultigrainError(ValueError):
    """Something the user can fix; the message is one line that says what and how.

    Attributes:
        option: The command-line option that helps, without its dashes. Command lines that have it
            add it to the message. On the class, because an error that a loader worker passes on
            keeps nothing but its class and text.
    """

    option: str | None = None


class ConfigError(MultigrainError):
    """A config, an option or an argument that cannot be used."""


class FileError(MultigrainError):
    """A file that cannot be written."""


class WorkerError(MultigrainError):
    """A worker process that ended before its task did."""


class TaxonomyError(MultigrainError):
    """A taxonomy, or a data file compared with one, that cannot be used."""


class AnnotationError(MultigrainError):
    """An annotation file that cannot be used."""


class ConverterError(MultigrainError):
    """A release that cannot be converted, or a data set that cannot be generated."""


class CheckError(MultigrainError):
    """A data set that cannot be checked, or cannot be fixed."""


class EvaluationError(MultigrainError):
    """Annotations or detections that cannot be evaluated."""


class CheckpointError(MultigrainError):
    """A checkpoint that cannot be used."""


class UntrustedCheckpointError(CheckpointError):
    """A checkpoint that could run code when it is loaded."""

    option = 'trust-checkpoint'


class LossError(MultigrainError):
    """A loss or weights that are NaN or infinite."""


class ProcessError(MultigrainError):
    """Processes that do not belong to the same run."""


class LostProcessError(ProcessError):
    """Another process of the run ended."""

    option = 'resume'


class ImageError(MultigrainError):
    """An image that cannot be read."""


class ExportError(MultigrainError):
    """A detector that cannot be exported."""


class ReportError(MultigrainError):
    """A report or figure that cannot be made."""


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Raise a ConfigError if an argument has none of its possible values."""
    if value not in choices:
        raise ConfigError(f'{name}={value!r}: must be one of {choices}')


@contextlib.contextmanager
def error_source(source: object, kind: type[MultigrainError] = TaxonomyError) -> Iterator[None]:
    """Start messages of a kind of error with the name of the file (or other source), if any."""
    try:
        yield
    except kind as error:
        is_named = not source or str(error).startswith(f'{source}: ')
        raise kind(str(error) if is_named else f'{source}: {error}') from None
