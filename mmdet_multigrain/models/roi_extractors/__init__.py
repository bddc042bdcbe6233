"""RoI extractors that StandardRoIHead uses in place of the stock one."""

from .plain_roi_extractor import PlainRoIExtractor

__all__ = ['PlainRoIExtractor']
