"""The exception of the converters and the generator."""


class ConverterError(ValueError):
    """What a converter has to tell its user: one line with the file, the thing and the mend."""
