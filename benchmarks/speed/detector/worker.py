"""The process of one contender: builds it as training does, then does one thing at a time.

It does nothing unless asked, so peak memory is the contender's own and others are timed alone.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mmdet_multigrain.launch import quiet_imports

with quiet_imports():
    import mmdet.datasets
    import mmdet.evaluation
    import mmdet.models  # noqa: F401
import torch
from mmengine.optim import AmpOptimWrapper
from mmengine.runner import Runner, set_random_seed
from mmengine.runner.amp import autocast
from mmengine.runner.base_loop import BaseLoop
from mmengine.utils import import_modules_from_strings
from torch.utils.data import DataLoader

from benchmarks.common.processes import peak_mb
from benchmarks.speed.detector import batches, stages
from benchmarks.speed.detector.contenders import Contender, bbox_head, num_classes
from benchmarks.speed.detector.evaluation import Evaluation
from mmdet_multigrain.engine.optimizers.autocast_optim_wrapper import AutocastOptimWrapper
from mmdet_multigrain.taxonomy import Taxonomy

BATCHES = 4  # different ones, which steps take in turn
LOADER_BATCHES = 16  # in one timing of the data loader
# Hooks of a run that look at its data or its checkpoint, which do not exist here.
_LEFT_OUT_HOOKS = ('PreflightHook', 'CheckpointReportHook', 'RunRecordHook')
# Hooks that mmengine adds by default: they write logs and checkpoints.
_DEFAULT_HOOKS = ('timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint')
_TEST_KEYS = [f'{part}_{key}' for part in ('val', 'test') for key in ('dataloader', 'cfg')]

built: list[Steps] = []  # the one that this process has built


@dataclass(frozen=True)
class Plan:
    """What all contenders do."""

    images: str  # 'dataset', or 'synthetic' for drawn ones
    scale: tuple[int, int]  # (width, height) of drawn images
    batch: int  # images of a training step
    steps: int = 1  # steps of one timing
    eval_images: int = 1000  # images of the evaluation
    seed: int = 0  # of weights, batches and samplers

    def images_of(self, what: str) -> int:
        """How many images one timing takes, or one step of it."""
        numbers = {'training': self.batch, 'inference': 1, 'data': self.batch * LOADER_BATCHES}
        return (numbers | {'evaluation': self.eval_images})[what]


def build(contender: Contender, shared: Any, plan: Plan, folder: str) -> dict[str, Any]:
    """Build a contender in this process; what was built, see `Steps.describe`.

    All contenders take classes and images of the config `shared`; the folder is for temporary files.
    """
    runner = BenchmarkRunner.of(contender, folder, plan.seed)
    runner.steps = Steps(runner, contender, shared, plan, Path(folder))
    runner.train()
    built.append(runner.steps)
    return runner.steps.describe()


class BenchmarkRunner(Runner):
    """A Runner whose training loop only prepares, and which then stays as it is.

    So model, optimizer, hooks, compilation and the like are what the config says, as in training.
    """

    steps: Steps

    @classmethod
    def of(cls, contender: Contender, work_dir: str, seed: int) -> BenchmarkRunner:
        """The runner of a contender, quiet and without checkpoints."""
        cfg = copy.deepcopy(contender.cfg)
        import_modules_from_strings(**cfg.get('custom_imports') or {'imports': None})
        hooks = [
            hook for hook in cfg.get('custom_hooks') or () if hook['type'] not in _LEFT_OUT_HOOKS
        ]
        changes = dict(
            work_dir=work_dir,
            load_from=None,
            resume=False,
            param_scheduler=None,
            log_level='ERROR',
            custom_hooks=hooks,
            default_hooks=dict.fromkeys(_DEFAULT_HOOKS),
            randomness=dict(seed=seed),
            experiment_name=f'benchmark_{os.getpid()}',
            **dict.fromkeys([*_TEST_KEYS, 'val_evaluator', 'test_evaluator']),
        )
        for key, value in changes.items():  # ConfigDict.update would merge
            cfg[key] = value
        cfg.model.backbone.pop('init_cfg', None)  # weights are drawn, not downloaded
        if contender.precision == 'fp32':
            torch.backends.cudnn.allow_tf32 = False
        # Loaders start as in training, not as this process did.
        warnings.filterwarnings('ignore', message='Multi-processing start method')
        return cls.from_cfg(cfg)

    def build_train_loop(self, loop: Any) -> BaseLoop:
        """Replace the config's loop."""
        return self.steps

    def call_hook(self, fn_name: str, **arguments: Any) -> None:
        """Leave the end of the run out: hooks would undo what they have set for it."""
        if fn_name != 'after_run':
            super().call_hook(fn_name, **arguments)

    def _init_model_weights(self) -> None:
        """Draw weights from a fresh seed: equal parts of contenders get equal weights."""
        set_random_seed(self.seed)
        super()._init_model_weights()


class Steps(BaseLoop):
    """What can be asked of a contender. The number of a step selects its batch and its seed."""

    # What hooks ask a loop for.
    iter, max_iters, epoch, max_epochs = 0, 1, 0, 1

    def __init__(
        self, runner: Runner, contender: Contender, shared: Any, plan: Plan, folder: Path
    ) -> None:
        super().__init__(runner, SimpleNamespace(dataset=None))
        self.cfg, self.coarse_labels = contender.cfg, contender.coarse_labels
        self.shared, self.plan, self.folder = shared, plan, folder

    def run(self) -> None:
        """Prepare for steps."""
        self.model = self.runner.model
        self.device = next(self.model.parameters()).device
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        # With a rate of 0 all the work is done and the weights stay, so that repeats are equal.
        for group in self.runner.optim_wrapper.optimizer.param_groups:
            group['lr'] = 0.0

    def describe(self) -> dict[str, Any]:
        """What was built, and where it runs."""
        parameters = list(self.model.parameters())
        cuda = self.device.type == 'cuda'
        return {
            'parameters': sum(one.numel() for one in parameters),
            'trained_parameters': sum(one.numel() for one in parameters if one.requires_grad),
            'dtype': str(self._dtype).removeprefix('torch.'),
            'threads': torch.get_num_threads(),
            'device': torch.cuda.get_device_name(self.device) if cuda else str(self.device),
        }

    def time(self, *, what: str, number: int) -> float:
        """Seconds of one timing; of training and inference, the mean over the plan's steps.

        Training is preprocessing, forward, losses, backward, optimizer and the config's own hooks;
        inference preprocessing, detection and post-processing of one image; data some batches
        from the training loader; evaluation the metric.
        """
        if what == 'data':
            return batches.loading_seconds(self._loader, LOADER_BATCHES)
        if what == 'evaluation':
            return self._evaluation.seconds()
        seconds = 0.0
        for place in range(number * self.plan.steps, (number + 1) * self.plan.steps):
            step = self._step(what, place)
            stages.synchronize(self.device)
            start = time.perf_counter()
            step()
            stages.synchronize(self.device)
            seconds += time.perf_counter() - start
        return seconds / self.plan.steps

    def profile(self, *, what: str, number: int) -> dict[str, Any]:
        """Seconds by stage of one step, and the RoIs that it sampled, all and positive."""
        clock = stages.StageClock(functools.partial(stages.synchronize, self.device))
        targets = stages.find_targets(self.model, stages.STAGES[what])
        if what == 'training':
            wrapper = self.runner.optim_wrapper
            targets += [(stage, wrapper, method) for stage, method in stages.OPTIMIZER]
        step = self._step(what, number * self.plan.steps)
        with (
            stages.counting_rois(self.model) as rois,
            stages.clocked(clock, targets),
            clock.stage(stages.OTHER),
        ):
            step()
        return {'seconds': clock.seconds, **rois}

    def flops(self, *, what: str) -> int:
        """Floating-point operations of one step."""
        return stages.count_flops(self._step(what, 0))

    def matmul_peak(self) -> float:
        """FLOP/s of a large matrix product in the contender's precision."""
        # Convolutions are most of the work: the product gets the precision that they have.
        before = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
        try:
            return stages.matmul_peak(self.device, self._dtype)
        finally:
            torch.backends.cuda.matmul.allow_tf32 = before

    def reset_peak(self) -> None:
        """Count peak memory from here on."""
        if self.device.type == 'cuda':
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            Path('/proc/self/clear_refs').write_text('5')

    def peak_mb(self) -> float:
        """Peak memory since the last reset, 10^6 bytes: resident, or PyTorch's on a GPU."""
        if self.device.type == 'cuda':
            return torch.cuda.max_memory_allocated(self.device) / 1e6
        return peak_mb()

    @property
    def _dtype(self) -> torch.dtype:
        """The type of matrix products."""
        wrapper = self.runner.optim_wrapper
        if isinstance(wrapper, AmpOptimWrapper):
            return wrapper.cast_dtype or torch.float16
        return wrapper.dtype if isinstance(wrapper, AutocastOptimWrapper) else torch.float32

    def _step(self, what: str, place: int) -> Callable[[], None]:
        """One step, ready to run: the same batch and random numbers for all contenders."""
        choice = self._batches(what)
        # A step changes the samples, but not the images.
        data = choice[place % len(choice)]
        data = dict(data, data_samples=copy.deepcopy(data['data_samples']))
        torch.manual_seed(self.plan.seed + place)
        return functools.partial(getattr(self, f'_{what}_step'), place, data)

    def _training_step(self, place: int, data: dict) -> None:
        self.model.train()
        self.runner.call_hook('before_train_iter', batch_idx=place, data_batch=data)
        outputs = self.model.train_step(data, optim_wrapper=self.runner.optim_wrapper)
        self.runner.call_hook('after_train_iter', batch_idx=place, data_batch=data, outputs=outputs)

    @torch.no_grad()
    def _inference_step(self, place: int, data: dict) -> None:
        self.model.eval()
        half = self._dtype != torch.float32
        with autocast(dtype=self._dtype) if half else contextlib.nullcontext():
            self.model.test_step(data)

    @functools.cached_property
    def _loader(self) -> DataLoader:
        return batches.build_loader(
            self.cfg.train_dataloader, batch=self.plan.batch, seed=self.plan.seed
        )

    @functools.cached_property
    def _evaluation(self) -> Evaluation:
        options = dict(images=self.plan.eval_images, seed=self.plan.seed)
        return Evaluation(self.cfg, folder=self.folder, **options)

    @functools.cache  # noqa: B019 (lives as long as the process)
    def _batches(self, what: str) -> list[dict]:
        options = dict(batch=self.plan.batch if what == 'training' else 1, seed=self.plan.seed)
        if self.plan.images == 'dataset':
            part = 'train' if what == 'training' else 'test'
            loader = self.shared[f'{part}_dataloader']
            loader = batches.build_loader(loader, workers=0, **options)
            found = batches.load_batches(loader, BATCHES)
        else:
            options |= dict(size=self.plan.scale, num_classes=num_classes(self.shared))
            found = batches.draw_batches(BATCHES, **options)
        if self.coarse_labels and what == 'training':
            labels = Taxonomy.load(bbox_head(self.cfg)['taxonomy']).labels
            batches.coarsen(found, labels, seed=self.plan.seed)
        return found
