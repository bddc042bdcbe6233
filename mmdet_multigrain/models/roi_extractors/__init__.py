"""RoI extractors that replace the stock one in StandardRoIHead."""

from .plain_roi_extractor import PlainRoIExtractor

__all__ = ['PlainRoIExtractor']
