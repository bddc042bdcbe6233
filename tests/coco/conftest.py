"""The content by hand that statistics are tested on, too."""

from ..report.conftest import content, taxonomy

__all__ = ['content', 'taxonomy']
