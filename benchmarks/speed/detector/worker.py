"""The process of one contender: builds it as training does, then does one thing at a time.

Here belongs what runs in that process. It waits for a request, does it, answers, and waits again;
so peak memory is the contender's own, and nothing of it runs while another one is timed.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import os
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mmdet_multigrain.launch import TRACEBACK_VARIABLE, one_line, quiet_imports

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

from benchmarks.speed.detector import data as detector_data
from benchmarks.speed.detector import inputs as detector_inputs
from benchmarks.speed.detector import stages as detector_stages
from benchmarks.speed.detector.configs import Contender, num_classes
from benchmarks.speed.detector.report import OTHER
from mmdet_multigrain.engine.optimizers.autocast_optim_wrapper import AutocastOptimWrapper

# Hooks of a run that look at its data or its checkpoint; there are none here.
_LEFT_OUT_HOOKS = ('PreflightHook', 'CheckpointReportHook', 'RunRecordHook')
# Hooks that mmengine adds unless told otherwise: they write logs and checkpoints.
_DEFAULT_HOOKS = ('timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint')


@dataclass(frozen=True)
class Plan:
    """What all contenders do alike.

    Attributes:
        images: 'dataset', or 'synthetic' for drawn ones.
        scale: (width, height) of drawn images.
        batch: Images of a training step.
        batches: How many different batches there are; steps take them in turn.
        steps: Steps of one timing.
        loader_workers: Processes of the data loader; None: as the config says.
        loader_batches: Batches of one timing of the data loader.
        eval_images: Images of the evaluation.
        seed: Of weights, batches and samplers.
    """

    images: str
    scale: tuple[int, int]
    batch: int
    steps: int = 1
    batches: int = 4
    loader_workers: int | None = None
    loader_batches: int = 16
    eval_images: int = 1000
    seed: int = 0

    def images_of(self, what: str) -> int:
        """How many images one timing takes, or one step of it."""
        return {
            'training': self.batch,
            'inference': 1,
            'evaluation': self.eval_images,
            'data': self.batch * self.loader_batches,
        }[what]


def serve(
    connection: Connection, contender: Contender, shared: Any, plan: Plan, folder: str
) -> None:
    """Answer requests (method of `Steps`, arguments) until the parent is gone.

    Args:
        connection: To the parent.
        contender: What to build.
        shared: Config whose classes and images all contenders take.
        plan: What all contenders do alike.
        folder: For temporary files.

    The first answer, unasked, is what `Steps.describe` gives. An answer is ('done', value) or
    ('error', one line); after an error the process ends.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    try:
        BenchmarkRunner.of(contender, folder, plan.seed).serve(
            functools.partial(
                Steps,
                cfg=contender.cfg,
                shared=shared,
                plan=plan,
                folder=Path(folder),
                connection=connection,
            )
        )
    except (BrokenPipeError, EOFError):  # the parent is gone
        return
    except Exception as error:  # noqa: BLE001 (whatever it is, the parent tells the user)
        if os.environ.get(TRACEBACK_VARIABLE) == '1':
            traceback.print_exc()
        connection.send(('error', one_line(error)))


class BenchmarkRunner(Runner):
    """A Runner whose training loop does what it is asked to.

    So model, optimizer, hooks, compilation and the like are what the config says, as in training.
    """

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
            **{
                f'{part}_{key}': None
                for part in ('val', 'test')
                for key in ('dataloader', 'cfg', 'evaluator')
            },
        )
        for key, value in changes.items():  # ConfigDict.update would merge
            cfg[key] = value
        cfg.model.backbone.pop('init_cfg', None)  # weights are drawn, not downloaded
        if contender.precision == 'fp32':
            torch.backends.cudnn.allow_tf32 = False
        # Loaders start as in training, not as this process did.
        warnings.filterwarnings('ignore', message='Multi-processing start method')
        return cls.from_cfg(cfg)

    def serve(self, steps: Callable[[Runner], BaseLoop]) -> None:
        """Train, with this loop in place of the config's."""
        self._steps = steps
        self.train()

    def build_train_loop(self, loop: Any) -> BaseLoop:
        """In place of the config's loop."""
        return self._steps(self)

    def _init_model_weights(self) -> None:
        """Draw weights as from a fresh seed: equal parts of contenders get equal weights."""
        set_random_seed(self.seed)
        super()._init_model_weights()


class Steps(BaseLoop):
    """What can be asked of a contender. Numbers of steps say which batch and which seed."""

    # What hooks ask a loop for.
    iter, max_iters, epoch, max_epochs = 0, 1, 0, 1

    def __init__(
        self,
        runner: Runner,
        *,
        cfg: Any,
        shared: Any,
        plan: Plan,
        folder: Path,
        connection: Connection,
    ) -> None:
        super().__init__(runner, SimpleNamespace(dataset=None))
        self.cfg, self.shared, self.plan = cfg, shared, plan
        self.folder, self.connection = folder, connection
        self.model = runner.model
        self.device = next(self.model.parameters()).device

    def run(self) -> None:
        """Answer requests."""
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        # A rate of zero does all the work and leaves the weights, so that repeats are alike.
        for group in self.runner.optim_wrapper.optimizer.param_groups:
            group['lr'] = 0.0
        self.connection.send(('done', self.describe()))
        while True:
            name, arguments = self.connection.recv()
            self.connection.send(('done', getattr(self, name)(**arguments)))

    def describe(self) -> dict[str, Any]:
        """What was built, and where it runs."""
        sizes = [
            (parameter.numel(), parameter.requires_grad) for parameter in self.model.parameters()
        ]
        return {
            'parameters': sum(size for size, _ in sizes),
            'trained_parameters': sum(size for size, trained in sizes if trained),
            'dtype': str(self._dtype).removeprefix('torch.'),
            'threads': torch.get_num_threads(),
            'device': (
                torch.cuda.get_device_name(self.device)
                if self.device.type == 'cuda'
                else str(self.device)
            ),
        }

    def time(self, *, what: str, number: int) -> float:
        """Seconds of one timing; of training and inference, the mean over the plan's steps.

        Training: preprocessing, forward, losses, backward, optimizer, and the config's own hooks.
        Inference: preprocessing, detection and post-processing of one image.
        Data: the plan's batches from the training loader. Evaluation: the metric, see
        `detector_data`.
        """
        if what == 'data':
            return detector_data.loading_seconds(self._loader, self.plan.loader_batches)
        if what == 'evaluation':
            return self._evaluation.seconds()
        seconds = 0.0
        for place in range(number * self.plan.steps, (number + 1) * self.plan.steps):
            step = self._step(what, place)
            detector_stages.synchronise(self.device)
            start = time.perf_counter()
            step()
            detector_stages.synchronise(self.device)
            seconds += time.perf_counter() - start
        return seconds / self.plan.steps

    def profile(self, *, what: str, number: int) -> dict[str, Any]:
        """Seconds by stage of one step, and the RoIs that it sampled, all and positive."""
        clock = detector_stages.StageClock(
            functools.partial(detector_stages.synchronise, self.device)
        )
        targets = detector_stages.find_targets(self.model, detector_stages.STAGES[what])
        if what == 'training':
            targets += [
                (stage, self.runner.optim_wrapper, method)
                for stage, method in detector_stages.OPTIMIZER
            ]
        step = self._step(what, number * self.plan.steps)
        with (
            _counting_rois(self.model) as rois,
            detector_stages.clocked(clock, targets),
            clock.stage(OTHER),
        ):
            step()
        return {'seconds': clock.seconds, **rois}

    def flops(self, *, what: str) -> int:
        """Floating-point operations of one step."""
        return detector_stages.count_flops(self._step(what, 0))

    def matmul_peak(self) -> float:
        """FLOP/s of a large matrix product in the contender's precision."""
        # Convolutions are most of the work: the product gets the precision that they have.
        before = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
        try:
            return detector_stages.matmul_peak(self.device, self._dtype)
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
        status = Path('/proc/self/status').read_text().split()
        return int(status[status.index('VmHWM:') + 1]) * 1024 / 1e6

    @property
    def _dtype(self) -> torch.dtype:
        """That of matrix products."""
        wrapper = self.runner.optim_wrapper
        if isinstance(wrapper, AmpOptimWrapper):
            return wrapper.cast_dtype or torch.float16
        return wrapper.dtype if isinstance(wrapper, AutocastOptimWrapper) else torch.float32

    def _step(self, what: str, place: int) -> Callable[[], None]:
        """One step, ready to run: the same batch and draws for all contenders."""
        batches = self._batches(what)
        data = detector_inputs.fresh(batches[place % len(batches)])
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
        loader, workers = self.cfg.train_dataloader, self.plan.loader_workers
        return detector_data.build_loader(
            loader,
            batch=self.plan.batch,
            seed=self.plan.seed,
            workers=loader['num_workers'] if workers is None else workers,
        )

    @functools.cached_property
    def _evaluation(self) -> detector_data.Evaluation:
        return detector_data.Evaluation(
            self.cfg, images=self.plan.eval_images, folder=self.folder, seed=self.plan.seed
        )

    @functools.cache  # noqa: B019 (lives as long as the process)
    def _batches(self, what: str) -> list[dict]:
        training = what == 'training'
        batch = self.plan.batch if training else 1
        if self.plan.images == 'dataset':
            loader = self.shared.train_dataloader if training else self.shared.test_dataloader
            return detector_data.load_batches(
                detector_data.build_loader(loader, batch=batch, workers=0, seed=self.plan.seed),
                self.plan.batches,
            )
        width, height = self.plan.scale
        return detector_inputs.draw_batches(
            self.plan.batches,
            batch=batch,
            width=width,
            height=height,
            num_classes=num_classes(self.shared),
            seed=self.plan.seed,
        )


@contextlib.contextmanager
def _counting_rois(model: torch.nn.Module) -> Iterator[dict[str, int]]:
    """Count the RoIs that a two-stage detector samples to learn from."""
    rois = {}
    sampler = getattr(getattr(model, 'roi_head', None), 'bbox_sampler', None)
    if not hasattr(sampler, 'sample'):
        yield rois
        return
    rois.update(rois=0, positive_rois=0)
    sample = sampler.sample

    def counted(*args, **kwargs):
        result = sample(*args, **kwargs)
        rois['rois'] += len(result.priors)
        rois['positive_rois'] += len(result.pos_priors)
        return result

    with detector_stages.replaced(sampler, 'sample', counted):
        yield rois
