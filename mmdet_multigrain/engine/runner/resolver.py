"""Complete a config with what is known only when a run is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from mmdet_multigrain.datasets.transforms import use_fast_loading
from mmdet_multigrain.speed import lay_over


def resolve(cfg: Config, *, checkpoint_meta: Mapping[str, Any] | None = None) -> None:
    """Complete a config in place; a config that is complete stays as it is.

    Args:
        cfg: The config of a run.
        checkpoint_meta: The `meta` of the checkpoint that the run tests or predicts with.

    Raises:
        ConfigError: An entry cannot be used; the message is one line.
    """
    lay_over(cfg, cfg.pop('speed', None) or ())
    use_fast_loading(cfg)
