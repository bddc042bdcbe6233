"""Detection on pictures without annotations: what tools/predict.py does, for use from Python.

It leads from an image file to detections with class and superclass, and to a picture that shows
them. Model, test pipeline and post-processing are MMDetection's own.
"""

from __future__ import annotations

import copy
import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms import Compose
from mmdet.registry import MODELS
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.model.utils import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from PIL import Image
from torch import nn

from mmdet_multigrain.engine.checkpoint.read import (
    keep_what_fits,
    misfit,
    read_checkpoint,
    state_dict_of,
    trained_on,
)
from mmdet_multigrain.engine.checkpoint.training_record import (
    NO_RECORD,
    is_missed,
    other_training,
    recorded,
)
from mmdet_multigrain.engine.hooks.preflight_hook import check_heads
from mmdet_multigrain.engine.runner.resolver import resolve
from mmdet_multigrain.engine.runner.test_level import set_groups
from mmdet_multigrain.evaluation.functional.matching import image_groups
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.levels import at_level
from mmdet_multigrain.utils.errors import CheckpointError, ConfigError, ImageError
from mmdet_multigrain.utils.files import write_whole
from mmdet_multigrain.utils.images import file_problem
from mmdet_multigrain.visualization.palette import class_palette
from mmdet_multigrain.visualization.pictures import Mark, draw_marks
from mmdet_multigrain.visualization.style import readable

_READABLE_SIDE = 400  # pixels; about four labels fit side by side


@dataclass(frozen=True)
class Prediction:
    """What a detector sees in one image.

    Attributes:
        image: (height, width, 3) uint8, blue-green-red, upright.
        labels: (N,) labels, by falling score.
        scores: (N,) from 0 to 1.
        boxes: (N, 4) as x1, y1, x2, y2 in pixels of `image`.
    """

    image: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray

    def above(self, score_thr: float) -> Prediction:
        """The detections with at least this score."""
        keep = self.scores >= score_thr
        return Prediction(self.image, self.labels[keep], self.scores[keep], self.boxes[keep])


class Detector:
    """A trained detector with its classes and superclasses.

    Args:
        cfg: The config that it was trained with, resolved or not; its data files need not exist.
        checkpoint: File or URL. Gives classes and taxonomy too.
        device: Where to run, like `cpu`. Default: the accelerator if there is one.
        level: Detect the groups of a level instead of classes, one answer for each object:
            'coarse', 'object' or a number (`taxonomy.levels.at_level`). Default: the classes.

    Attributes:
        cfg: A copy of the config, resolved with what the checkpoint records.
        model: The model in evaluation mode.
        taxonomy: Its classes; without groups if the checkpoint knows none. With a level, its groups.

    Raises:
        ValueError: One line, if the checkpoint cannot be read or does not fit the config, or the
            device cannot be used.
    """

    def __init__(
        self,
        cfg: Config,
        checkpoint: str,
        *,
        device: str | None = None,
        level: int | str | None = None,
    ) -> None:
        device = device or get_device()
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:  # torch built without it asserts
            reason = str(error).splitlines()[0]
            raise ConfigError(f'device {device!r} cannot be used here ({reason})') from None
        init_default_scope(cfg.get('default_scope', 'mmdet'))
        content = read_checkpoint(checkpoint)
        self.cfg = copy.deepcopy(cfg)
        resolve(self.cfg, checkpoint_meta=content.get('meta') or {})
        self._groups: Sequence[int] | None = None
        metainfo = trained_on(content)
        if level is not None and 'classes' in metainfo:
            vocabulary = at_level(_taxonomy_of(metainfo), level)
            if set_groups(self.cfg.model, vocabulary.index) is None:
                self._groups = vocabulary.index
        # Building a model changes its config.
        self.model: nn.Module = revert_sync_batchnorm(MODELS.build(copy.deepcopy(self.cfg.model)))
        record = recorded(content)
        problem = keep_what_fits(self.model, content).problem or other_training(record, self.model)
        if problem is not None:
            raise misfit(checkpoint, 'predict', problem)
        if is_missed(self.model, record):
            print(f'{checkpoint}: {NO_RECORD}', file=sys.stderr)
        if 'classes' not in metainfo:
            raise CheckpointError(f'{checkpoint}: does not say which classes it was trained on')
        check_heads(self.model, metainfo, source=str(checkpoint))
        self.taxonomy = _taxonomy_of(metainfo) if level is None else vocabulary.taxonomy
        self.model.load_state_dict(
            {key.removeprefix('module.'): value for key, value in state_dict_of(content).items()}
        )
        self.model.to(device).eval()
        pipeline = get_test_pipeline_cfg(self.cfg)
        self._load, self._transform = Compose(pipeline[:1]), Compose(pipeline[1:])

    def read(self, path: str | Path) -> dict[str, Any]:
        """Read an image as the test pipeline does; a sample for `predict`.

        Raises:
            ImageError: It is missing or not readable.
        """
        problem = file_problem(path)
        try:
            if problem is None:
                return self._load(dict(img_path=str(path), img_id=0))
        except (OSError, AssertionError, ValueError, cv2.error):
            problem = 'not a readable image' if Path(path).is_file() else 'no such image'
        raise ImageError(f'{path}: {problem}')

    @torch.no_grad()
    def predict(self, samples: Sequence[dict[str, Any]]) -> list[Prediction]:
        """Detect on one batch of images that were read with `read`."""
        images = [sample['img'] for sample in samples]
        batch = pseudo_collate([self._transform(dict(sample)) for sample in samples])
        results = [result.pred_instances.cpu().numpy() for result in self.model.test_step(batch)]
        if self._groups is not None:
            results = [image_groups(found, self._groups) for found in results]
        return [
            Prediction(image, found['labels'], found['scores'], found['bboxes'])
            for image, found in zip(images, results, strict=True)
        ]


def _taxonomy_of(metainfo: Mapping[str, Any]) -> Taxonomy:
    """The taxonomy that a checkpoint records, or its classes without groups."""
    if 'taxonomy' in metainfo:
        return Taxonomy.load(metainfo['taxonomy'])
    return Taxonomy('checkpoint', metainfo['classes'])


def describe(prediction: Prediction, taxonomy: Taxonomy) -> dict[str, Any]:
    """Size and detections of an image as plain values for JSON.

    Returns:
        `width`, `height` and `detections`: `class`, `superclass` (the coarsest group; the class
        itself if it has none), with more than two levels also `superclasses` (all groups,
        coarsest first), `score`, and `box` as [x, y, width, height] in pixels.
    """
    height, width = prediction.image.shape[:2]
    detections = []
    columns = (prediction.labels, prediction.scores, prediction.boxes)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    for label, score, (x1, y1, x2, y2) in rows:
        groups = [taxonomy.superclass_of(label, level) for level in range(taxonomy.num_levels - 1)]
        detections.append(
            {
                'class': taxonomy.classes[label],
                'superclass': taxonomy.superclass_of(label),
                **({'superclasses': groups} if len(groups) > 1 else {}),
                'score': round(score, 4),
                'box': [round(value, 2) for value in (x1, y1, x2 - x1, y2 - y1)],
            }
        )
    return {'width': width, 'height': height, 'detections': detections}


def draw(prediction: Prediction, taxonomy: Taxonomy) -> Image.Image:
    """The image with boxes in the colors of their superclasses, small ones on top.

    Labels read `class (superclass) 0.87`, with an index instead of a name that no font here can
    show. Small images are enlarged, so that labels can be read.
    """
    picture = Image.fromarray(prediction.image[..., ::-1])
    zoom = max(1, round(_READABLE_SIDE / min(picture.size)))
    palette = class_palette(taxonomy)
    names = readable(taxonomy.classes)
    groups, index = readable(taxonomy.group_names(0), 'group'), taxonomy.group_index(0)
    marks = []
    for label, score, (x1, y1, x2, y2) in zip(
        prediction.labels.tolist(), prediction.scores, prediction.boxes.tolist(), strict=True
    ):
        alone = taxonomy.superclass_of(label) == taxonomy.classes[label]
        group = '' if alone else f' ({groups[index[label]]})'
        text = f'{names[label]}{group} {score:.2f}'
        marks.append(Mark((x1, y1, x2 - x1, y2 - y1), text, palette[label]))
    return draw_marks(picture, marks, size=(zoom * picture.width, zoom * picture.height))


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a picture atomically, in the format of its suffix; missing folders are created."""
    content = io.BytesIO()
    picture.save(content, format=Image.registered_extensions()[path.suffix.lower()], quality=92)
    write_whole(path, content.getvalue())
