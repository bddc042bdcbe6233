"""Write a picture of each tested image under a name of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import matplotlib
import mmcv
from mmdet.engine.hooks import DetVisualizationHook
from mmdet.registry import HOOKS
from mmengine.fileio import get
from mmengine.runner import Runner

from mmdet_multigrain.utils.images import PictureNames
from mmdet_multigrain.visualization.style import installed_fonts, missing_letters_line, readable

from ..data_access import inner_datasets


@HOOKS.register_module()
class PictureHook(DetVisualizationHook):
    """MMDetection's hook, whose pictures keep the folders that file names have.

    The stock hook writes the pictures of `a/1.jpg` and `b/1.jpg` to one file, and fails on suffixes
    that OpenCV does not write. Class names that no font here can show become indices.
    """

    def before_test(self, runner: Runner) -> None:
        """Find the folder that names are relative to, and the names of classes."""
        # The stock hook takes the visualizer of the last run in this process that made a new one.
        if not self.show:
            self._visualizer = runner.visualizer
        if not self.draw:
            return
        self._names = PictureNames()
        folders = {
            os.path.abspath(part.data_prefix['img'])
            for part in inner_datasets(runner.test_dataloader.dataset)
            if getattr(part, 'data_prefix', {}).get('img')
        }
        self._root = os.path.commonpath(folders) if folders else os.getcwd()
        meta = self._visualizer.dataset_meta or {}
        classes = tuple(meta.get('classes') or ())
        if line := missing_letters_line(classes, what='pictures'):
            runner.logger.warning(line)
            self._visualizer.dataset_meta = {**meta, 'classes': readable(classes)}

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict[str, Any], outputs: Sequence[Any]
    ) -> None:
        """Draw the detections next to the ground truth."""
        if not self.draw or self.show or self.test_out_dir is None:
            super().after_test_iter(runner, batch_idx, data_batch, outputs)
            return
        folder = Path(runner.work_dir, runner.timestamp, self.test_out_dir)
        for sample in outputs:
            self._test_index += 1
            content = get(sample.img_path, backend_args=self.backend_args)
            with matplotlib.rc_context({'font.sans-serif': installed_fonts()}):
                self._visualizer.add_datasample(
                    'test_img',
                    mmcv.imfrombytes(content, channel_order='rgb'),
                    data_sample=sample,
                    pred_score_thr=self.score_thr,
                    out_file=str(folder / self._picture(sample.img_path)),
                    step=self._test_index,
                )

    def _picture(self, path: str) -> PurePath:
        """The name of an image's picture: its path below the image folder, or with its server."""
        name = PurePath(path.partition('://')[2] or os.path.relpath(path, self._root))
        return self._names.of(PurePath(name.name) if '..' in name.parts else name, path)
