"""The error of this package, without which nothing else needs an import."""

from __future__ import annotations

from mmdet_multigrain.utils.errors import MultigrainError


class ExportError(MultigrainError):
    """A detector that cannot be exported; the message is one line that names the reason."""
