"""The exception of the converters and the generator."""

from mmdet_multigrain.utils.errors import MultigrainError


class ConverterError(MultigrainError):
    """What a converter has to tell its user: one line with the file, the thing and the mend."""
