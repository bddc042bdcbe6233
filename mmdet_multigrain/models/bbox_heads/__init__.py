"""Box heads that replace the stock ones in StandardRoIHead and CascadeRoIHead."""

from .merged_bbox_head import MergedBBoxHead
from .multi_branch_bbox_head import MultiBranchBBoxHead
from .multi_grained_bbox_head import MultiGrainedBBoxHead

__all__ = ['MergedBBoxHead', 'MultiBranchBBoxHead', 'MultiGrainedBBoxHead']
