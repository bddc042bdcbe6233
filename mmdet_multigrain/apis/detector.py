"""Detection on pictures without annotations: what tools/predict.py does, for use from Python.

It leads from an image file to detections with class and superclass; `drawing` shows them. Model,
test pipeline and post-processing are MMDetection's own.
"""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms import Compose
from mmdet.datasets.transforms import LoadImageFromNDArray
from mmdet.registry import MODELS
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.model.utils import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from PIL import Image, ImageOps
from torch import nn

from mmdet_multigrain.engine.checkpoint import training_record
from mmdet_multigrain.engine.checkpoint.read import (
    keep_what_fits,
    misfit,
    read_checkpoint,
    state_dict_of,
    trained_on,
)
from mmdet_multigrain.engine.checkpoint.scoring import scoring_of
from mmdet_multigrain.engine.hooks.preflight_hook import check_heads
from mmdet_multigrain.engine.runner.resolver import resolve
from mmdet_multigrain.engine.runner.test_level import set_groups
from mmdet_multigrain.evaluation.answers import AnswerRule
from mmdet_multigrain.evaluation.functional.matching import image_groups
from mmdet_multigrain.models.roi_heads.lineage import add_lineage
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.levels import at_level
from mmdet_multigrain.utils.errors import CheckpointError, ConfigError, ImageError
from mmdet_multigrain.utils.images import file_problem
from mmdet_multigrain.utils.nested import dicts

from .answers import answers_of, describe_answers

Picture = str | os.PathLike[str] | np.ndarray | Image.Image


@dataclass(frozen=True)
class Prediction:
    """What a detector sees in one image.

    Attributes:
        image: (height, width, 3) uint8, blue-green-red, upright.
        labels: (N,) labels, by falling score.
        scores: (N,) from 0 to 1.
        boxes: (N, 4) as x1, y1, x2, y2 in pixels of `image`.
        lineage: (N, L) probability of the class, then of its groups, the coarsest last, given that
            there is an object. This and all below are None without a rule for answers.
        calibrated: (N, L) the same, calibrated by the rule; never falls on the way up.
        answer_levels: (N,) which of the nodes is the answer, L for "object".
        rois: (N,) number of the region of interest that the detection comes from.
        iou_thr: Detections with the same answer that overlap by more are one object.
    """

    image: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    lineage: np.ndarray | None = None
    calibrated: np.ndarray | None = None
    answer_levels: np.ndarray | None = None
    rois: np.ndarray | None = None
    iou_thr: float | None = None

    @property
    def objectness(self) -> np.ndarray:
        """(N,) probability that there is an object: the sum over all classes of the region."""
        return np.minimum(self.scores / self.lineage[:, 0], 1)

    @property
    def answer_scores(self) -> np.ndarray:
        """(N,) calibrated probability of each answer given that there is an object."""
        nodes = np.pad(self.calibrated, ((0, 0), (0, 1)), constant_values=1)
        return np.take_along_axis(nodes, self.answer_levels[:, None], axis=1)[:, 0]

    def above(self, score_thr: float) -> Prediction:
        """The detections with at least this score."""
        keep, shared = self.scores >= score_thr, ('image', 'iou_thr')
        columns = {name: part for name, part in vars(self).items() if name not in shared}
        return replace(
            self, **{name: part[keep] for name, part in columns.items() if part is not None}
        )

    def answered(self, rule: AnswerRule) -> Prediction:
        """The same detections with the answers of a rule; `lineage` must be there."""
        return replace(
            self,
            calibrated=rule.probabilities(self.lineage),
            answer_levels=rule.levels(self.lineage),
        )

    def rows(self, *columns: str) -> Iterator[tuple[Any, ...]]:
        """Plain values of each detection, from the columns of these names."""
        return zip(*(getattr(self, name).tolist() for name in columns), strict=True)


class Detector:
    """A trained detector with its classes and superclasses.

    Args:
        cfg: The config that it was trained with, resolved or not; its data files need not exist.
        checkpoint: File or URL. Gives classes and taxonomy too.
        device: Where to run, like `cpu`. Default: the accelerator if there is one.
        level: Detect the groups of a level instead of classes, one answer for each object:
            'coarse', 'object' or a number (`taxonomy.levels.at_level`). Default: the classes.
        answers: Also answer each detection with its class or the finest group that can be trusted:
            a rule, the file that tools/calibrate.py wrote, or a number as threshold, which promises
            nothing. The detections stay the same. Default: no answers.

    Attributes:
        cfg: A copy of the config, resolved with what the checkpoint records.
        model: The model in evaluation mode.
        taxonomy: Its classes; without groups if the checkpoint knows none. With a level, its groups.
        answers: The rule for answers, or None.

    Raises:
        ValueError: One line, if the checkpoint cannot be read or does not fit the config, the
            device cannot be used, or the model or the rule gives no answers.
    """

    def __init__(
        self,
        cfg: Config,
        checkpoint: str,
        *,
        device: str | None = None,
        level: int | str | None = None,
        answers: AnswerRule | str | os.PathLike[str] | float | None = None,
    ) -> None:
        if level is not None and answers is not None:
            raise ConfigError(f'level {level!r}: answers start from classes; give one of the two')
        if isinstance(answers, str | os.PathLike):
            answers = AnswerRule.load(answers)
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
        metainfo = _with_main_tree(trained_on(content), self.cfg.get('taxonomy'))
        if level is not None and 'classes' in metainfo:
            vocabulary = at_level(_taxonomy_of(metainfo), level)
            if set_groups(self.cfg.model, vocabulary.index) is None:
                self._groups = vocabulary.index
        model_cfg = copy.deepcopy(self.cfg.model)  # building a model changes its config
        self.answers: AnswerRule | None = None
        if answers is not None and 'classes' in metainfo:
            scoring = scoring_of(str(checkpoint), content, model_cfg)
            self.answers = _rule_for(answers, metainfo, scoring)
            if 'module' in model_cfg:
                raise ConfigError(
                    'test-time augmentation merges the detections of several views, so that none '
                    'has the scores of one region; leave it or the answers out'
                )
            add_lineage(model_cfg, self.answers.taxonomy)
            rcnn = next(part['test_cfg'].rcnn for part in dicts(model_cfg) if part.get('roi_head'))
            self._iou_thr = (rcnn.get('nms') or {}).get('iou_threshold', 0.5)
        self.model: nn.Module = revert_sync_batchnorm(MODELS.build(model_cfg))
        record = training_record.recorded(content)
        problem = keep_what_fits(self.model, content).problem
        problem = problem or training_record.other_training(record, self.model)
        if problem is not None:
            raise misfit(checkpoint, 'predict', problem)
        if training_record.is_missed(self.model, record):
            print(f'{checkpoint}: {training_record.NO_RECORD}', file=sys.stderr)
        if 'classes' not in metainfo:
            raise CheckpointError(f'{checkpoint}: does not say which classes it was trained on')
        check_heads(self.model, metainfo, source=str(checkpoint))
        self.taxonomy = _taxonomy_of(metainfo) if level is None else vocabulary.taxonomy
        if self.answers is not None:
            self.taxonomy = self.answers.taxonomy
        self.model.load_state_dict(
            {key.removeprefix('module.'): value for key, value in state_dict_of(content).items()}
        )
        self.model.to(device).eval()
        pipeline = get_test_pipeline_cfg(self.cfg)
        self._load, self._transform = Compose(pipeline[:1]), Compose(pipeline[1:])

    def read(self, image: Picture) -> dict[str, Any]:
        """Read an image as the test pipeline does; a sample for `predict`.

        Args:
            image: A file; (height, width, 3) uint8, blue-green-red as OpenCV has it; or an image of
                Pillow, with 8 or 16 bits per channel.

        Raises:
            ImageError: It is missing or not readable, has floating-point or 32-bit pixels, or is an
                array of another kind.
        """
        if isinstance(image, Image.Image):
            image = _pixels(image)
        if isinstance(image, np.ndarray):
            if image.dtype != np.uint8 or image.shape[2:] != (3,) or not image.size:
                raise ImageError(
                    f'array of shape {image.shape} and type {image.dtype}: not an image; give '
                    '(height, width, 3) uint8, blue-green-red'
                )
            return LoadImageFromNDArray()(dict(img=np.ascontiguousarray(image), img_id=0))
        problem = file_problem(image)
        try:
            if problem is None:
                return self._load(dict(img_path=str(image), img_id=0))
        except (OSError, AssertionError, ValueError, cv2.error):
            problem = 'not a readable image' if Path(image).is_file() else 'no such image'
        raise ImageError(f'{image}: {problem}')

    @torch.no_grad()
    def predict(self, images: Sequence[Picture | dict[str, Any]]) -> list[Prediction]:
        """Detect on one batch of images, or of samples from `read`."""
        samples = [image if isinstance(image, dict) else self.read(image) for image in images]
        batch = pseudo_collate([self._transform(dict(sample)) for sample in samples])
        results = [result.pred_instances.cpu().numpy() for result in self.model.test_step(batch)]
        if self._groups is not None:
            results = [image_groups(found, self._groups) for found in results]
        predictions = []
        for sample, found in zip(samples, results, strict=True):
            columns = found['labels'], found['scores'], found['bboxes']
            prediction = Prediction(sample['img'], *columns)
            if self.answers is not None:
                origin = dict(lineage=found['lineage'], rois=found['rois'], iou_thr=self._iou_thr)
                prediction = replace(prediction, **origin).answered(self.answers)
            predictions.append(prediction)
        return predictions


def _pixels(image: Image.Image) -> np.ndarray:
    """The pixels of an image of Pillow as OpenCV has them: upright, 8 of 16 bits."""
    if image.mode in ('I', 'F'):
        raise ImageError(f'image of mode {image.mode}: give one with 8 or 16 bits per channel')
    try:
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith('I;16'):  # Pillow would clip all above 255 to white
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        return np.array(image.convert('RGB'))[..., ::-1]
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(f'image of Pillow: cannot be read ({error})') from None


def _rule_for(
    answers: AnswerRule | float, metainfo: Mapping[str, Any], scoring: Mapping[str, Any]
) -> AnswerRule:
    """The rule for a checkpoint that records this and scores like that.

    Raises:
        EvaluationError: It was calibrated for another one, or the number is not a threshold.
    """
    taxonomy = _taxonomy_of(metainfo)
    if not isinstance(answers, AnswerRule):
        return AnswerRule(float(answers), taxonomy)
    if 'taxonomy' not in metainfo and taxonomy.classes == answers.taxonomy.classes:
        taxonomy = answers.taxonomy  # the checkpoint knows no groups
    answers.check(taxonomy, scoring)
    return answers


def _with_main_tree(metainfo: Mapping[str, Any], own: Any) -> Mapping[str, Any]:
    """What a checkpoint records, with the main tree of the config's taxonomy, which its heads have."""
    if own is None or 'taxonomy' not in metainfo:
        return metainfo
    taxonomy, main = _taxonomy_of(metainfo), Taxonomy.load(own.to_dict()).main_tree
    if main not in taxonomy.trees:
        return metainfo
    return {**metainfo, 'taxonomy': taxonomy.with_main_tree(main).to_dict()}


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
        coarsest first), `score`, and `box` as [x, y, width, height] in pixels. With answers, also
        what `describe_answers` says of each, and `answers`: the merged ones (`answers_of`), with
        `name`, `level`, `score`, `box`, and `members` as indices of `detections`.
    """
    height, width = prediction.image.shape[:2]
    detections = []
    for label, score, box in prediction.rows('labels', 'scores', 'boxes'):
        groups = [taxonomy.superclass_of(label, level) for level in range(taxonomy.num_levels - 1)]
        detections.append(
            {
                'class': taxonomy.classes[label],
                'superclass': taxonomy.superclass_of(label),
                **({'superclasses': groups} if len(groups) > 1 else {}),
                'score': round(score, 4),
                'box': _sides(box),
            }
        )
    content = {'width': width, 'height': height, 'detections': detections}
    if prediction.answer_levels is None:
        return content
    for detection, answer in zip(detections, describe_answers(prediction, taxonomy), strict=True):
        detection |= answer
    return content | {
        'answers': [
            {
                'name': answer.name,
                'level': answer.level,
                'score': round(answer.score, 4),
                'box': _sides(answer.box),
                'members': [*answer.members],
            }
            for answer in answers_of(prediction, taxonomy)
        ]
    }


def _sides(box: Sequence[float]) -> list[float]:
    x1, y1, x2, y2 = box
    return [round(value, 2) for value in (x1, y1, x2 - x1, y2 - y1)]
