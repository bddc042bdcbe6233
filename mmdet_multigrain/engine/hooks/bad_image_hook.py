"""Report which images training left out, and how many."""

from __future__ import annotations

from collections import Counter
from typing import Any

from mmdet.registry import HOOKS
from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdet_multigrain.datasets.superclass_coco import SKIPPED

from ..data_access import samples_of

_SHOWN = 5  # images that the log names when they are first met
_COUNTS = 'skipped_images'  # in the message hub, which checkpoints keep


@HOOKS.register_module()
class BadImageHook(Hook):
    """Count the images that `on_bad_image='skip'` left out; the first ones are logged as they come.

    Loader workers tell of them in the metainfo of the sample that took their place. Checkpoints
    keep the counts of the first process, so that a resumed run continues to count.
    """

    def before_train(self, runner: Runner) -> None:
        """Leave what a checkpoint counts to the first process: `after_train` adds up all of them."""
        if not is_main_process():
            runner.message_hub.update_info(_COUNTS, {})

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Count the images whose place the samples of the batch took."""
        for sample in samples_of(data_batch):
            for path, problem in sample.get(SKIPPED, {}).items():
                counts = dict(runner.message_hub.runtime_info.get(_COUNTS, {}))
                if path not in counts and len(counts) < _SHOWN:
                    runner.logger.warning(
                        f'{path}: {problem}; left out, another image takes its place'
                    )
                counts[path] = counts.get(path, 0) + 1
                runner.message_hub.update_info(_COUNTS, counts)

    def after_train(self, runner: Runner) -> None:
        """Say how many images were left out, over all processes."""
        counts: Counter[str] = Counter()
        for part in all_gather_object(runner.message_hub.runtime_info.get(_COUNTS, {})):
            counts.update(part)
        if counts:
            runner.logger.warning(
                f'{len(counts)} image(s) could not be used and were left out '
                f'{sum(counts.values())} time(s): {", ".join(list(counts)[:_SHOWN])}'
                + (', ...' if len(counts) > _SHOWN else '')
                + '; check the data set to find all of them'
            )
