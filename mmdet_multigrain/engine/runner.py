"""MMEngine's Runner where it needs help: loading checkpoints, and loaders that begin anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mmengine.runner
from mmdet.registry import DATA_SAMPLERS
from torch.utils.data import DataLoader

from mmdet_multigrain.datasets import ExactSampler, SeededDataset

from .checkpoints import loading


class Runner(mmengine.runner.Runner):
    """MMEngine's Runner; a checkpoint that cannot be loaded is named in one line.

    Checkpoints are loaded as weights only: no code that they hold is run.
    """

    def load_checkpoint(self, filename: str, *args, **kwargs) -> dict:
        """Load a checkpoint as MMEngine does.

        Raises:
            CheckpointError: It cannot be read or downloaded, or would run code.
        """
        with loading(filename):
            checkpoint = super().load_checkpoint(filename, *args, **kwargs)
        # Resuming would run this text, to look for numbers of GPUs that only old files have.
        if isinstance(checkpoint.get('meta'), dict):
            checkpoint['meta'].pop('config', None)
        return checkpoint

    @staticmethod
    def build_dataloader(dataloader: DataLoader | Mapping[str, Any], **kwargs: Any) -> DataLoader:
        """Build a loader as MMEngine does; with an exact sampler its data set is a seeded one."""
        if isinstance(dataloader, Mapping) and _is_exact(dataloader.get('sampler')):
            dataset = dict(type=SeededDataset, dataset=dataloader['dataset'])
            dataloader = {**dataloader, 'dataset': dataset}
        return mmengine.runner.Runner.build_dataloader(dataloader, **kwargs)


def _is_exact(sampler: Any) -> bool:
    """Whether the config of a sampler is one of `ExactSampler` or a subclass."""
    kind = sampler.get('type') if isinstance(sampler, Mapping) else None
    kind = DATA_SAMPLERS.get(kind) if isinstance(kind, str) else kind
    return isinstance(kind, type) and issubclass(kind, ExactSampler)
