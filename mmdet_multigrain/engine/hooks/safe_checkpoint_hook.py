"""Save checkpoints such that a whole one exists at every moment after the first save."""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections import deque
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from mmdet.registry import HOOKS
from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmdet_multigrain.utils.errors import CheckpointError, ConfigError, FileError
from mmdet_multigrain.utils.files import dump_json, load_json, remove_leftovers

from ..checkpoint.atomic_backend import BACKEND, AtomicLocalBackend
from ..checkpoint.find import POINTER, check_archive, refuse_used
from ..console import console_from
from ..main_process import on_main_process

BEST = 'best_checkpoints.json'
INTERIM = 'interim_checkpoint'  # in the message hub: iteration of one that was saved in an epoch


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """MMEngine's `CheckpointHook`, in an order that no kill and no full disk can harm.

    A checkpoint is written under a temporary name and renamed when it is on the disk, read again
    and compared with its checksums, and named in `last_checkpoint`; only then is the oldest one
    removed. So the disk needs room for one more checkpoint than are kept. The best checkpoint,
    replaced in the same order, stands with its score in `best_checkpoints.json` next to it. If the
    first process cannot save, all processes end.

    File names and arguments are MMEngine's, without `backend_args` and `file_client_args`: it
    writes to local folders.

    Raises:
        CheckpointError: A new run begins in a folder that holds checkpoints. While training, a
            checkpoint cannot be written; the message names one that the run can resume from.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(backend_args=dict(backend=BACKEND), **kwargs)
        if self.out_dir is not None and '://' in str(self.out_dir):
            raise ConfigError(
                f'out_dir {self.out_dir}: SafeCheckpointHook writes to local folders; there use '
                'CheckpointHook'
            )
        self.keep_ckpt_ids: deque[int] = deque()
        self._best: dict[str, tuple[float, str]] = {}  # score and file name by metric
        self._saved_iteration: int | None = None

    def before_train(self, runner: Runner) -> None:
        """Remove what a killed run left; find the best checkpoint so far."""
        with console_from(logging.ERROR, runner.logger):  # MMEngine warns of its own functions
            super().before_train(runner)
        if runner._resume:
            self.last_ckpt = runner._load_from
        best = on_main_process(partial(self._start, runner))
        for metric, (score, name) in best.items():
            self._settle_auto(metric)
            self._set_best(runner, metric, score, name)

    def save(self, runner: Runner) -> None:
        """Save now, in `after_train_iter` of another hook, unless this iteration is saved already.

        A hook that saves by epoch names the file by iteration, too, as the epoch is not over; the
        next checkpoint replaces it.
        """
        iteration = runner.iter + 1
        if self._saved_iteration == iteration:
            return
        meta = dict(epoch=runner.epoch, iter=iteration)
        if self.by_epoch:
            before = runner.message_hub.pop_info(INTERIM)
            runner.message_hub.update_info(INTERIM, iteration)
            self._save_last(runner, _interim(iteration), meta)
            if before is not None and is_main_process():
                self._remove(runner, _interim(before))
        else:
            self._save_checkpoint_with_step(runner, iteration, meta)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, Any]) -> None:
        """Save, then remove the oldest."""
        kept = [number for number in self.keep_ckpt_ids if number != step] + [step]
        outdated = []
        if self.max_keep_ckpts > 0:
            # With the outdated ones: if they are not removed below, resuming removes them.
            runner.message_hub.update_info('keep_ckpt_ids', kept)
            outdated = [self.filename_tmpl.format(n) for n in kept[: -self.max_keep_ckpts]]
        interim = runner.message_hub.pop_info(INTERIM)
        if interim is not None:
            outdated.append(_interim(interim))
        self._save_last(runner, self.filename_tmpl.format(step), meta)
        if self.max_keep_ckpts > 0:
            self.keep_ckpt_ids = deque(kept[-self.max_keep_ckpts :])
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        if is_main_process():
            for name in outdated:
                self._remove(runner, name)

    def _save_last(self, runner: Runner, name: str, meta: dict[str, Any]) -> None:
        """Save a checkpoint to resume from, and let the pointer name it."""
        path = str(self._path(name))
        runner.message_hub.update_info('last_ckpt', path)
        runner.call_hook('before_save')  # of this project; here all processes come by

        def save() -> None:
            self._save_whole(
                runner,
                name,
                meta=meta,
                save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler,
                **self.args,
            )
            with self._telling_how_to_go_on():
                AtomicLocalBackend().put_text(path, Path(runner.work_dir, POINTER))

        on_main_process(save)
        self.last_ckpt = path
        self._saved_iteration = meta['iter']

    def _save_whole(self, runner: Runner, name: str, **options: Any) -> None:
        """Save one file and read it again."""
        with self._telling_how_to_go_on():
            runner.save_checkpoint(
                str(self.out_dir), name, by_epoch=False, backend_args=self.backend_args, **options
            )
            try:
                check_archive(self._path(name))
            except CheckpointError:
                self._path(name).unlink(missing_ok=True)
                raise

    @contextlib.contextmanager
    def _telling_how_to_go_on(self):
        try:
            yield
        except (FileError, CheckpointError) as error:
            fix = 'free some disk space or fix the disk, then '
            fix += f'resume {self.last_ckpt}' if self.last_ckpt else 'start again'
            raise CheckpointError(f'{error}; {fix}') from None

    # The best checkpoint

    def _save_best_checkpoint(self, runner: Runner, metrics: Mapping[str, Any]) -> None:
        """Save the weights as the best of each metric that they are best in."""
        if not self.save_best:
            return
        self._settle_auto(next(iter(metrics)))
        number = runner.epoch if self.by_epoch else runner.iter
        for metric, rule in zip(self.key_indicators, self.rules, strict=True):
            if metric not in metrics:
                raise ConfigError(
                    f'default_hooks.checkpoint.save_best is {metric!r}, but the validation gives '
                    f'{", ".join(map(repr, metrics))}; take one of these'
                )
            score = metrics[metric]
            so_far, old = self._best.get(metric, (self.init_value_map[rule], None))
            if score is None or not self.is_better_than[metric](score, so_far):
                continue
            name = f'best_{metric}_{self.filename_tmpl.format(number)}'.replace('/', '_')
            before = dict(self._best)
            self._set_best(runner, metric, score, name)
            on_main_process(partial(self._replace_best, runner, metric, before))
            runner.logger.info(
                f'The best checkpoint with {score:0.4f} {metric} is saved to {name}.'
            )

    def _replace_best(
        self, runner: Runner, metric: str, before: Mapping[str, tuple[float, str]]
    ) -> None:
        """Save the new best checkpoint of a metric, then remove the old one."""
        score, name = self._best[metric]
        files = {metric: [best] for metric, best in before.items()}
        files.setdefault(metric, []).append((float(score), name))
        with self._telling_how_to_go_on():
            # Both: whichever of them a kill leaves is known when the run continues.
            AtomicLocalBackend().put(dump_json(files), self._path(BEST))
        meta = dict(epoch=runner.epoch, iter=runner.iter)
        self._save_whole(runner, name, meta=meta, save_optimizer=False, save_param_scheduler=False)
        for _, old in files[metric]:
            if old != name:
                self._remove(runner, old)

    def _start(self, runner: Runner) -> dict[str, tuple[float, str]]:
        """Clean the folder; score and file name of the best checkpoint of each metric."""
        suffixes = (Path(self.filename_tmpl).suffix, POINTER, BEST, '.py')  # .py: the config
        begins = not runner._resume and not getattr(runner, 'begins_again', False)
        for folder in {Path(runner.work_dir), Path(self.out_dir)}:
            if begins:
                refuse_used(folder)
            left = remove_leftovers(folder, suffix=suffixes)
            if left:
                runner.logger.info(f'Removed {len(left)} unfinished file(s) of a killed run')
        if not self.save_best:
            return {}
        if not runner._resume:  # what a start left that was killed before its first checkpoint
            for _, name in itertools.chain(*self._known_best(runner).values()):
                self._remove(runner, name)
            self._path(BEST).unlink(missing_ok=True)
            return {}
        best = {}
        for metric, files in self._known_best(runner).items():
            self._settle_auto(metric)
            standing = [(score, name) for score, name in files if self._path(name).is_file()]
            if not standing or metric not in self.key_indicators:
                continue
            rule = self.rules[self.key_indicators.index(metric)]
            best[metric] = (min if rule == 'less' else max)(standing)
            for _, name in standing:
                if name != best[metric][1]:
                    self._remove(runner, name)
        return best

    def _known_best(self, runner: Runner) -> dict[str, list[tuple[float, str]]]:
        """Scores and names of the files that are or were becoming the best, by metric."""
        path, hub = self._path(BEST), runner.message_hub
        try:
            content = load_json(path)
        except FileNotFoundError:  # CheckpointHook saved so far
            content = {
                metric: [[hub.get_info(score), Path(hub.get_info(best)).name]]
                for metric in self.key_indicators
                for score, best in [self._hub_keys(metric)]
                if score in hub.runtime_info and best in hub.runtime_info
            }
        except (OSError, ValueError):
            content = None
        try:
            return {
                metric: [(float(score), _name_of_best(name)) for score, name in files]
                for metric, files in content.items()
            }
        except (ValueError, TypeError, AttributeError):
            runner.logger.warning(f'{path}: not readable; the next evaluation counts as the best')
            return {}

    def _settle_auto(self, metric: str) -> None:
        """Compare by this metric from now on if it is the first one that 'auto' meets."""
        if self.key_indicators == ['auto']:
            self._init_rule(self.rules, [metric])

    def _set_best(self, runner: Runner, metric: str, score: float, name: str) -> None:
        """Note the best checkpoint where MMEngine's tools look for it."""
        self._best[metric] = score, name
        path = str(self._path(name))
        if len(self.key_indicators) == 1:
            self.best_ckpt_path = path
        else:
            self.best_ckpt_path_dict[metric] = path
        for key, value in zip(self._hub_keys(metric), (score, path), strict=True):
            runner.message_hub.update_info(key, value)

    def _hub_keys(self, metric: str) -> tuple[str, str]:
        """MMEngine's names for score and path in the message hub."""
        tail = '' if len(self.key_indicators) == 1 else f'_{metric}'
        return f'best_score{tail}', f'best_ckpt{tail}'

    def _remove(self, runner: Runner, name: str) -> None:
        """Remove a file that is not needed any more; no reason to stop if that fails."""
        try:
            self._path(name).unlink(missing_ok=True)
        except OSError as error:
            runner.logger.warning(f'{self._path(name)}: cannot be removed ({error.strerror})')

    def _path(self, name: str) -> Path:
        return Path(self.out_dir, name)


def _interim(iteration: int) -> str:
    return f'iter_{int(iteration)}.pth'


def _name_of_best(name: str) -> str:
    """The same, if it is the name of a file that may be removed when a better one stands."""
    if not name.startswith('best_') or Path(name).name != name:
        raise ConfigError(f'{name} is not the name of a best checkpoint')
    return name
