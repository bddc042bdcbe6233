"""MMEngine's Runner where it needs help: checkpoints, loaders, signals, other processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import mmengine.runner
from mmdet.registry import DATA_SAMPLERS
from mmengine.dist import get_rank, get_world_size
from torch import nn
from torch.utils.data import DataLoader

from mmdet_multigrain.datasets import ExactSampler, SeededDataset

from ..checkpoint.read import loading
from .same_run import Process, check_same_run, lost_process
from .stop_request import StopRequest, begin_worker


class Runner(mmengine.runner.Runner):
    """MMEngine's Runner; a checkpoint that cannot be loaded is named in one line.

    Checkpoints are loaded as weights only: no code that they hold is run. Processes that are not
    alike do not start; one that is lost is named by the others. SIGTERM is left to
    `GracefulStopHook`.
    """

    processes: Sequence[Process] = ()

    def setup_env(self, env_cfg: dict) -> None:
        """Set up the environment as MMEngine does, and compare the processes.

        Raises:
            ProcessError: They have not the same config, data or code.
        """
        super().setup_env(env_cfg)
        if get_world_size() > 1:
            self.processes = check_same_run(self.cfg)

    def train(self) -> nn.Module:
        """Train as MMEngine does.

        Raises:
            ProcessError: Another process of the run ended.
        """
        with StopRequest() as self.stop_request:
            try:
                return super().train()
            except RuntimeError as error:
                if lost := lost_process(error, self.processes):
                    raise lost from error
                raise

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
        """Build a loader as MMEngine does; its workers are told by us when to end.

        With an exact sampler its data set is a seeded one.
        """
        if isinstance(dataloader, DataLoader):
            return dataloader
        dataloader = dict(dataloader)
        if _is_exact(dataloader.get('sampler')):
            dataloader['dataset'] = dict(type=SeededDataset, dataset=dataloader['dataset'])
        begin = dict(
            type=begin_worker,
            num_workers=dataloader.get('num_workers', 0),
            rank=get_rank(),
            seed=kwargs.get('seed'),
            disable_subprocess_warning=dataloader.pop('disable_subprocess_warning', False),
        )
        dataloader.setdefault('worker_init_fn', begin)
        return mmengine.runner.Runner.build_dataloader(dataloader, **kwargs)


def _is_exact(sampler: Any) -> bool:
    """Whether the config of a sampler is one of `ExactSampler` or a subclass."""
    kind = sampler.get('type') if isinstance(sampler, Mapping) else None
    kind = DATA_SAMPLERS.get(kind) if isinstance(kind, str) else kind
    return isinstance(kind, type) and issubclass(kind, ExactSampler)
