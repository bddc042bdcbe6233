"""The exception of the checks: a data set that cannot be checked, or not be mended."""


class CheckError(ValueError):
    """One line with the file, the thing and the mend."""
