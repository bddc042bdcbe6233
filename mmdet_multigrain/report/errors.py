"""The exception of the reports."""

from mmdet_multigrain.utils.errors import MultigrainError


class ReportError(MultigrainError):
    """What a report has to tell its user: one line with the file, the thing and the mend."""
