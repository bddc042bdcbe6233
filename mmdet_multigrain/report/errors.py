"""The exception of the reports."""


class ReportError(ValueError):
    """What a report has to tell its user: one line with the file, the thing and the mend."""
