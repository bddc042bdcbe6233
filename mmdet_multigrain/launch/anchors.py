"""The anchors that a config gives to the boxes of an annotation file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .configs import load_config
from .imports import quiet_imports

if TYPE_CHECKING:
    from mmdet_multigrain.checks.anchors import AnchorCoverage


def anchors_with(
    config: str | os.PathLike[str], ann_file: str | os.PathLike[str], taxonomy: str | None = None
) -> AnchorCoverage:
    """Count the boxes of a COCO file that get a positive anchor with a config.

    The file, and the taxonomy if there is one, take the place of the config's training data.

    Raises:
        MultigrainError: The config does not fit the file, or has no RPN with anchors.
    """
    with quiet_imports():
        from mmdet_multigrain.checks.anchors import anchor_coverage

    # Photos are not read, but their folder has to exist.
    path = os.path.abspath(ann_file)
    options = {'train_ann': path, 'images': os.path.dirname(path), 'taxonomy': taxonomy}
    given = {key: value for key, value in options.items() if value}
    return anchor_coverage(load_config(config, given), progress=True)
