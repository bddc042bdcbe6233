"""Box heads that StandardRoIHead and CascadeRoIHead use in place of the stock ones."""

from .merged_bbox_head import MergedBBoxHead
from .multi_branch_bbox_head import MultiBranchBBoxHead
from .multi_grained_bbox_head import MultiGrainedBBoxHead

__all__ = ['MergedBBoxHead', 'MultiBranchBBoxHead', 'MultiGrainedBBoxHead']
