"""Write a picture of each tested image under a name of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import mmcv
from mmdet.engine.hooks import DetVisualizationHook
from mmdet.registry import HOOKS
from mmengine.fileio import get
from mmengine.runner import Runner

from mmdet_multigrain.utils.images import PictureNames

from ..data_access import inner_datasets


@HOOKS.register_module()
class PictureHook(DetVisualizationHook):
    """MMDetection's hook, whose pictures keep the folders that file names have.

    The stock hook writes the pictures of `a/1.jpg` and `b/1.jpg` to one file, and fails on suffixes
    that OpenCV does not write.
    """

    def before_test(self, runner: Runner) -> None:
        """Find the folder that names are relative to."""
        # The stock hook takes the visualizer of the last run in this process that made a new one.
        if not self.show:
            self._visualizer = runner.visualizer
        self._names = PictureNames()
        folders = {
            os.path.abspath(part.data_prefix['img'])
            for part in inner_datasets(runner.test_dataloader.dataset)
            if getattr(part, 'data_prefix', {}).get('img')
        }
        self._root = os.path.commonpath(folders) if folders else os.getcwd()

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict[str, Any],
        outputs: Sequence[Any],
    ) -> None:
        """Draw the detections next to the ground truth."""
        if not self.draw or self.show or self.test_out_dir is None:
            super().after_test_iter(runner, batch_idx, data_batch, outputs)
            return
        folder = Path(runner.work_dir, runner.timestamp, self.test_out_dir)
        for sample in outputs:
            self._test_index += 1
            content = get(sample.img_path, backend_args=self.backend_args)
            self._visualizer.add_datasample(
                'test_img',
                mmcv.imfrombytes(content, channel_order='rgb'),
                data_sample=sample,
                pred_score_thr=self.score_thr,
                out_file=str(folder / self._names.of(self._name(sample.img_path), sample.img_path)),
                step=self._test_index,
            )

    def _name(self, path: str) -> PurePath:
        """An image's path below the image folder, or below its server."""
        if '://' in path:
            return PurePath(path.partition('://')[2])
        name = PurePath(os.path.relpath(path, self._root))
        return PurePath(name.name) if '..' in name.parts else name
