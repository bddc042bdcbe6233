"""The exception of the checks: a data set that cannot be checked, or not be mended."""

from mmdet_multigrain.utils.errors import MultigrainError


class CheckError(MultigrainError):
    """One line with the file, the thing and the mend."""
