"""MMEngine's `Runner` with the guarantees of this project, whichever script starts it."""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import subprocess
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import DATA_SAMPLERS
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import get_rank, get_world_size, is_distributed
from mmengine.hooks import EarlyStoppingHook
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from mmengine.visualization import Visualizer
from torch import nn
from torch.utils.data import DataLoader

from mmdet_multigrain.datasets import SeededDataset
from mmdet_multigrain.datasets.samplers import ExactSampler
from mmdet_multigrain.speed import describe_options
from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.files import write_whole
from mmdet_multigrain.utils.nested import is_kind
from mmdet_multigrain.utils.seeding import Stream, seed_generators

from ..checkpoint.find import choose_checkpoint, refuse_used
from ..checkpoint.read import loading
from ..checkpoint.weights_only import only_weights
from ..console import console_from
from ..data_access import bare_model
from ..hooks.matmul_precision_hook import MatmulPrecisionHook
from ..hooks.same_buffers_hook import SameBuffersHook
from ..main_process import on_main_process
from .config_text import as_writable
from .initial_values import built_by_name, drawn_by_name
from .positions import run_seed
from .resolver import resolve
from .same_run import Process, check_same_run, lost_process
from .stop_request import StopRequest, begin_worker

_HEAD = '# Complete config of a training, written by mmdet_multigrain.\n'


@RUNNERS.register_module()
class MultigrainRunner(Runner):
    """MMEngine's `Runner`, for configs with `runner_type='MultigrainRunner'`.

    - The config is completed by `resolve`. Training writes it to the work folder; tests don't.
    - Checkpoints load as weights only. A run resumes from a checkpoint that is complete.
    - Processes that differ in config, data or code do not start. If one ends, the others name it.
    - Several processes run on CPUs, too: with gloo, and DDP without device ids. All of them
      validate with the buffers of the first.
    - The console leaves environment, config, hooks and options of single parameters to the log file.
    - A loader with an exact sampler gets a `SeededDataset`; its workers leave SIGTERM
      and Ctrl-C to the main process, where `GracefulStopHook` acts on it.

    Args:
        **kwargs: As for MMEngine's `Runner`. `resume=True` resumes from `load_from`, or else from
            the last complete checkpoint in the work folder; `resume='auto'` from that checkpoint,
            and starts from `load_from` if there is none.

    Attributes:
        config_file: The complete config that a training has written.

    Raises:
        CheckpointError: A checkpoint cannot be read or downloaded, or would run code.
        ConfigError: Several processes on CPUs were started by MPI.
        ProcessError: The processes differ, or one of them ended.
    """

    config_file: Path | None = None
    processes: Sequence[Process] = ()
    _is_training = False
    begins_again = False  # asked to resume, without a checkpoint to resume from

    def __init__(self, **kwargs: Any) -> None:
        with self._guarded(), contextlib.ExitStack() as self._building:
            super().__init__(**kwargs)
        self.logger.info(f'Environment, config and hooks: {self.logger.log_file}')

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build the logger as MMEngine does; until the runner is built, its console is quiet."""
        logger = super().build_logger(*args, **kwargs)
        self._building.enter_context(console_from(logging.WARNING, logger))
        return logger

    def build_visualizer(self, visualizer: Visualizer | dict | None = None) -> Visualizer:
        """Build it as MMEngine does, under a name that no other run in this process has.

        MMEngine keeps one visualizer of a name, which would write the scalars of a second run into
        the folder of the first one.
        """
        if isinstance(visualizer, dict) and 'save_dir' not in visualizer:
            name = f'{visualizer.get("name", "visualizer")} of {self.log_dir}'
            visualizer = dict(visualizer, name=name)
        return super().build_visualizer(visualizer)

    def build_optim_wrapper(self, optim_wrapper: Any) -> OptimWrapper | OptimWrapperDict:
        """Build it as MMEngine does, which logs each parameter with options of its own."""
        with console_from(logging.ERROR, self.logger):
            return super().build_optim_wrapper(optim_wrapper)

    @classmethod
    def from_cfg(cls, cfg: Config | dict[str, Any]) -> MultigrainRunner:
        """Complete a copy of a config and build the runner from it."""
        cfg = copy.deepcopy(cfg) if isinstance(cfg, Config) else Config(copy.deepcopy(cfg))
        resolve(cfg)
        as_writable(cfg)  # the taxonomy in it has names as keys
        return super().from_cfg(cfg)

    def setup_env(self, env_cfg: dict) -> None:
        """Set up the environment as MMEngine does, and compare the processes."""
        if self._launcher == 'mpi':  # tools set LOCAL_RANK to their argument, which is 0 there
            os.environ['LOCAL_RANK'] = os.environ.get('OMPI_COMM_WORLD_LOCAL_RANK', '0')
        if self.distributed and not is_distributed() and get_device() == 'cpu':
            # MMEngine would choose a CUDA device for each process.
            if self.launcher == 'mpi':
                raise ConfigError(
                    "launcher='mpi' needs GPUs; on CPUs start with torchrun and use "
                    "launcher='pytorch'"
                )
            if self.launcher == 'slurm':
                os.environ.update(_meeting_point_of_slurm())
            torch.distributed.init_process_group(backend='gloo')
        super().setup_env(env_cfg)
        if get_world_size() > 1:
            self.processes = check_same_run(self.cfg)

    def build_model(self, model: nn.Module | dict) -> nn.Module:
        """Build the model as MMEngine does, with initial values by name."""
        if isinstance(model, nn.Module):
            return super().build_model(model)
        with built_by_name(run_seed(self)) as models:
            models.append(super().build_model(model))
        return models[0]

    def _init_model_weights(self) -> None:
        """Initialize as MMEngine does, by name; later draws do not depend on the model either."""
        with drawn_by_name(bare_model(self.model), run_seed(self)):
            super()._init_model_weights()
        seed_generators((self.seed, Stream.VALUES))

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Wrap the model as MMEngine does; on CPUs without the device ids that it adds."""
        if self.distributed and get_device() == 'cpu' and not is_model_wrapper(model):
            model_wrapper_cfg = dict(
                type='MMDistributedDataParallel',
                broadcast_buffers=False,
                find_unused_parameters=self.cfg.get('find_unused_parameters', False),
            ) | dict(model_wrapper_cfg or {}, device_ids=None)
        with warnings.catch_warnings():
            # Newer versions of torch have another name for this argument.
            warnings.filterwarnings('ignore', message='`broadcast_buffers`', category=FutureWarning)
            return super().wrap_model(model_wrapper_cfg, model)

    def register_hooks(self, default_hooks: dict | None = None, custom_hooks=None) -> None:
        """Register hooks as MMEngine does, and `SameBuffersHook` if there are several processes."""
        super().register_hooks(default_hooks, custom_hooks)
        if self.distributed and not any(isinstance(hook, SameBuffersHook) for hook in self.hooks):
            self.register_hook(SameBuffersHook())

    def dump_config(self) -> None:
        """Leave the work folder as it is: `train` writes the config, a test has its own in its log.

        MMEngine writes it here, over the config that the tested checkpoint was trained with.
        """

    def _check_work_dir(self) -> None:
        """Refuse the folder of another run than the one that continues."""
        folder = Path(self.work_dir).resolve()
        continues = self._resume and Path(self._load_from).resolve().parent == folder
        if not continues and not self._has_loaded:
            refuse_used(self.work_dir)

    def _write_config(self) -> None:
        """Write the complete config to the work folder, never over another file than its own."""
        path = Path(self.work_dir, Path(self.cfg.filename or f'{self.timestamp}.py').name)
        text = f'{_HEAD}{self.cfg.pretty_text}'
        if path.exists():
            old = path.read_bytes()
            source = self.cfg.filename
            is_input = source is not None and path.resolve() == Path(source).resolve()
            if is_input and old != text.encode() or not old.startswith(_HEAD.encode()):
                path = path.with_stem(f'{path.stem}_{self.timestamp}')
        write_whole(path, text.encode())
        self.config_file = path
        self.logger.info(f'Config, complete: {path}')

    def train(self) -> nn.Module:
        """Train as MMEngine does."""
        if self.cfg.get('test_level') is not None:
            raise ConfigError(
                f'test_level={self.cfg.test_level!r} is for tests, and would choose the best '
                'checkpoint by another level; leave it out'
            )
        with self._guarded(), StopRequest() as self.stop_request:
            self._is_training = True
            self._log_speed()
            return super().train()

    def _log_speed(self) -> None:
        """Log the options for speed that the config has."""
        backbone = getattr(bare_model(self.model), 'backbone', None)
        norm_eval = getattr(backbone, 'norm_eval', False)
        names = describe_options(self.cfg.to_dict(), device=get_device(), norm_eval=norm_eval)
        self.logger.info(f'Options for speed: {", ".join(names) or "none"}')

    def val(self) -> dict:
        """Validate as MMEngine does."""
        self._drop_early_stopping()
        with self._guarded():
            return super().val()

    def test(self) -> dict:
        """Test as MMEngine does."""
        self._drop_early_stopping()
        with self._guarded():
            return super().test()

    def _drop_early_stopping(self) -> None:
        """Drop hooks that would build the training data, where nothing is trained."""
        self._hooks = [hook for hook in self._hooks if not isinstance(hook, EarlyStoppingHook)]

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Load weights only, and name a process whose end makes this one fail.

        However it ends, the process has its own precision again.
        """
        with only_weights():
            try:
                yield
            except RuntimeError as error:
                if lost := lost_process(error, self.processes):
                    raise lost from error
                raise
            finally:
                for hook in getattr(self, '_hooks', ()):
                    if isinstance(hook, MatmulPrecisionHook):
                        hook.after_run(self)

    def load_or_resume(self) -> None:
        """Load as MMEngine does; resume from a checkpoint that the first process has verified."""
        if self._resume and not self._has_loaded:
            named = None if self._resume == 'auto' else self._load_from
            path = on_main_process(
                lambda: choose_checkpoint(named, self.work_dir, warn=self.logger.warning)
            )
            self._resume = path is not None
            self.begins_again = not self._resume
            self._load_from = path or self._load_from
        if self._is_training and not self.begins_again:
            on_main_process(self._check_work_dir)
        super().load_or_resume()
        if self._is_training:  # now: a checkpoint that is refused must not cost the old config
            on_main_process(self._write_config)

    def load_checkpoint(self, filename: str, *args, **kwargs) -> dict:
        """Load a checkpoint as MMEngine does, as weights only."""
        with loading(filename):
            checkpoint = super().load_checkpoint(filename, *args, **kwargs)
        # MMEngine's `resume` would run this text to look for GPU numbers, which only old files have.
        if isinstance(checkpoint.get('meta'), dict):
            checkpoint['meta'].pop('config', None)
        return checkpoint

    @staticmethod
    def build_dataloader(dataloader: DataLoader | Mapping[str, Any], **kwargs: Any) -> DataLoader:
        """Build a loader as MMEngine does, with seeded samples and workers that we stop."""
        if isinstance(dataloader, DataLoader):
            return dataloader
        dataloader = dict(dataloader)
        if is_kind(dataloader.get('sampler'), DATA_SAMPLERS, ExactSampler):
            dataloader['dataset'] = dict(type=SeededDataset, dataset=dataloader['dataset'])
        begin = dict(
            type=begin_worker,
            num_workers=dataloader.get('num_workers', 0),
            rank=get_rank(),
            seed=kwargs.get('seed'),
            disable_subprocess_warning=dataloader.pop('disable_subprocess_warning', False),
        )
        dataloader.setdefault('worker_init_fn', begin)
        return Runner.build_dataloader(dataloader, **kwargs)


def _meeting_point_of_slurm() -> dict[str, str]:
    """What torch's process group reads from the environment, from what srun tells a task.

    MMEngine knows it for GPUs only; for it, too, `MASTER_ADDR` and `MASTER_PORT` count if set.
    """
    task = os.environ
    address = task.get('MASTER_ADDR')
    if address is None:
        command = ['scontrol', 'show', 'hostnames', task['SLURM_NODELIST']]
        address = subprocess.check_output(command, text=True).split()[0]
    return {
        'MASTER_ADDR': address,
        'MASTER_PORT': task.get('MASTER_PORT', '29500'),
        'RANK': task['SLURM_PROCID'],
        'WORLD_SIZE': task['SLURM_NTASKS'],
        'LOCAL_RANK': task['SLURM_LOCALID'],
    }
