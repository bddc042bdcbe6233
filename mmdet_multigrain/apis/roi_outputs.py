"""What a detector says of every RoI before suppression, kept in files: scores change without it.

Logits of all levels and decoded boxes of each image of a data set lie in memory-mapped arrays, with
a description that ties them to checkpoint, config and annotations. A run that was interrupted
continues with the first batch that is not complete.
"""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.registry import DATASETS, MODELS
from mmdet.structures.bbox import get_box_tensor
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset

from mmdet_multigrain.engine.data_access import inner_datasets
from mmdet_multigrain.engine.fingerprints import file_digest
from mmdet_multigrain.engine.hooks.preflight_hook import check_data
from mmdet_multigrain.engine.runner.runner import MultigrainRunner
from mmdet_multigrain.engine.runner.stop_request import StopRequest
from mmdet_multigrain.models import MultiGrainedBBoxHead
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError, FileError
from mmdet_multigrain.utils.files import load_json, write_whole
from mmdet_multigrain.utils.nested import dicts
from mmdet_multigrain.utils.progress import progress_bar

from .detector import Detector

DESCRIPTION = 'roi_outputs.json'
_NOT_DONE = -1


@dataclass(frozen=True, eq=False)
class RoIOutputs:
    """Logits and boxes of the RoIs of I images."""

    image_ids: tuple[Hashable, ...]  # (I,) ids
    counts: np.ndarray  # (I,) number of RoIs of each image, int32
    # (I, P, C) scores of all levels, as the head gives them: fine, then coarse to fine
    logits: np.ndarray
    boxes: np.ndarray  # (I, P, 4 K) x1, y1, x2, y2 for each class, or (I, P, 4) for all, in pixels
    taxonomy: Taxonomy  # of the data set

    def image(self, number: int) -> tuple[Tensor, Tensor]:
        """Logits and boxes of an image; both share the memory of the file."""
        count = self.counts[number]
        return tuple(torch.from_numpy(part[number, :count]) for part in (self.logits, self.boxes))


def head_configs(model: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Dotted key and config of each box head; a cascade may have one for all its stages.

    Raises:
        ConfigError: The model has other box heads, predicts masks, keeps added classes apart, or
            refines boxes by class.
    """
    roi_head = model.get('roi_head') or {}
    heads, key = roi_head.get('bbox_head') or (), 'model.roi_head.bbox_head'
    found = [(key, heads)] if isinstance(heads, Mapping) else []
    found = found or [(f'{key}.{number}', head) for number, head in enumerate(heads)]
    kinds = {getattr(head['type'], '__name__', head['type']) for _, head in found}
    if kinds != {MultiGrainedBBoxHead.__name__} or roi_head.get('mask_head'):
        names = ', '.join(sorted(kinds)) or 'none'
        raise ConfigError(
            f'model of type {model.get("type")} has box heads of type {names}; only the scores of a '
            'detector with MultiGrainedBBoxHead and without masks can be tuned'
        )
    if any(head.get('added') for _, head in found):
        raise ConfigError(
            f'{key}: added keeps the scores of old classes as they are; leave added out to tune'
        )
    if 'num_stages' in roi_head and not all(
        head.get('reg_class_agnostic') or head.get('reg_per') == 'agnostic' for _, head in found
    ):
        raise ConfigError(
            f'{key}: a cascade whose stages have a box for each class moves boxes by scores, which '
            'cannot be tuned alone then'
        )
    return found


def head_names(model: Mapping[str, Any]) -> list[str]:
    """Names of the box heads in the model that is built, of all stages of a cascade."""
    roi_head, name = model['roi_head'], 'roi_head.bbox_head'
    if 'num_stages' not in roi_head:
        return [name]
    return [f'{name}.{stage}' for stage in range(roi_head['num_stages'])]


def with_fusion(model: Mapping[str, Any], fusion: Mapping[str, Any] | None) -> dict[str, Any]:
    """A copy of a model's config whose box heads have this `fusion`."""
    model = copy.deepcopy(model)
    for _, head in head_configs(model):
        head['fusion'] = copy.deepcopy(fusion)
    return model


def build_head(model: Mapping[str, Any]) -> MultiGrainedBBoxHead:
    """The last box head of a model's config, without a fusion, with random weights."""
    return MODELS.build(head_configs(with_fusion(model, None))[-1][1])


def read_roi_outputs(
    cfg: Config, checkpoint: str, folder: Path, *, split: str = 'test', redo: bool = False
) -> RoIOutputs:
    """Run a detector over a data set once, or read what it left.

    Args:
        cfg: A resolved config.
        checkpoint: File of the checkpoint.
        folder: Where the files are, or will be.
        split: Whose data set: 'test' or 'val'.
        redo: Replace files of another checkpoint, config or data set.

    Raises:
        ConfigError: The detector has other heads, or `folder` has files of another one.
        KeyboardInterrupt: It was interrupted; the same call continues.
    """
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    loader = cfg[f'{split}_dataloader']
    dataset = DATASETS.build(copy.deepcopy(loader['dataset']))
    if 'taxonomy' not in dataset.metainfo:
        raise ConfigError(f'{split}_dataloader has no taxonomy; use SuperclassCocoDataset')
    taxonomy = Taxonomy.load(dataset.metainfo['taxonomy'])
    made_from = _made_from(cfg, checkpoint, dataset, loader)
    known = _description(folder)
    if known and known['made_from'] != made_from and not redo:
        changed = [name for name, value in made_from.items() if known['made_from'][name] != value]
        raise ConfigError(
            f'{folder}: holds the RoIs of another test (its {" and ".join(changed)} differs); name '
            'another folder, or make it again (--force)'
        )
    if not known or known['made_from'] != made_from:
        image_ids = [
            part.get_data_info(number)['img_id']
            for part in inner_datasets(dataset)
            for number in range(len(part))
        ]
        _create(cfg, folder, made_from, image_ids)
    outputs = _open(folder, taxonomy)
    undone = np.flatnonzero(outputs.counts == _NOT_DONE)
    if len(undone):
        size = loader.get('batch_size', 1)
        start = int(undone[0]) // size * size  # the same batches: padding depends on them
        rest = Subset(dataset, range(start, len(dataset)))
        # With a fusion, the heads give the scores of all levels.
        complete = copy.deepcopy(cfg)
        complete.model = with_fusion(cfg.model, dict(type='ConditionalFusion'))
        model = Detector(complete, checkpoint).model
        check_data(model, dataset, with_groups=False)
        batches = MultigrainRunner.build_dataloader({**loader, 'dataset': rest}, seed=0)
        _fill(outputs, model, batches, start)
    return outputs


def _made_from(cfg: Config, checkpoint: str, dataset: Dataset, loader: Mapping) -> dict[str, Any]:
    """Digests of all that decides on the outputs of the head."""
    model = with_fusion(cfg.model, None)
    for part in dicts(model):
        if 'rcnn' in (part.get('test_cfg') or {}):
            part['test_cfg'].pop('rcnn')
    loader = {key: value for key, value in loader.items() if key in ('dataset', 'batch_size')}
    text = json.dumps([model, loader], sort_keys=True, default=str)
    files = [getattr(part, 'ann_file', '') for part in inner_datasets(dataset)]
    return {
        'checkpoint': file_digest(checkpoint) or checkpoint,
        'config': hashlib.sha256(text.encode()).hexdigest(),
        'annotations': [file_digest(path) for path in files],
    }


def _description(folder: Path) -> dict[str, Any]:
    try:
        content = load_json(folder / DESCRIPTION)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) and 'made_from' in content else {}


def _create(cfg: Config, folder: Path, made_from: Mapping, image_ids: Sequence[Hashable]) -> None:
    """Make files without content, the description last."""
    head = build_head(cfg.model)
    rois = next(part for part in dicts(cfg.model) if 'rpn' in (part.get('test_cfg') or {}))
    rois = rois['test_cfg']['rpn']['max_per_img']
    boxes = 1 if head.reg_class_agnostic else head.num_classes
    shapes = {
        'logits': (len(image_ids), rois, sum(head.loss_cls.level_channels)),
        'boxes': (len(image_ids), rois, 4 * boxes),
    }
    size = sum(4 * int(np.prod(shape)) for shape in shapes.values())
    folder.mkdir(parents=True, exist_ok=True)
    print(f'RoIs of {len(image_ids)} images, up to {rois} each -> {folder}: {size / 1e6:.0f} MB')
    if size > (free := shutil.disk_usage(folder).free):
        raise FileError(f'{folder}: {size / 1e6:.0f} MB do not fit in {free / 1e6:.0f} MB of disk')
    (folder / DESCRIPTION).unlink(missing_ok=True)
    for name, shape in shapes.items():
        np.lib.format.open_memmap(folder / f'{name}.npy', 'w+', np.float32, shape)
    np.save(folder / 'counts.npy', np.full(len(image_ids), _NOT_DONE, np.int32))
    content = {'made_from': made_from, 'image_ids': image_ids}
    write_whole(folder / DESCRIPTION, json.dumps(content).encode())


def _open(folder: Path, taxonomy: Taxonomy) -> RoIOutputs:
    names = ('counts', 'logits', 'boxes')
    arrays = {name: np.load(folder / f'{name}.npy', mmap_mode='r+') for name in names}
    return RoIOutputs(tuple(_description(folder)['image_ids']), **arrays, taxonomy=taxonomy)


@torch.no_grad()
def _fill(outputs: RoIOutputs, model: nn.Module, batches: Any, start: int) -> None:
    """Write what the model says of the RoIs of each image, from number `start` on."""
    heads = model.roi_head.bbox_head
    last = heads[-1] if isinstance(heads, nn.ModuleList) else heads
    last.loss_cls.get_activation = lambda logits: logits  # instead of probabilities
    number, total = start, len(outputs.counts)
    with StopRequest() as stop, progress_bar(show=True, total=total, initial=start) as bar:
        for batch in batches:
            data = model.data_preprocessor(batch, False)
            samples = data['data_samples']
            features = model.extract_feat(data['inputs'])
            proposals = model.rpn_head.predict(features, samples, rescale=False)
            metas = [sample.metainfo for sample in samples]
            found = model.roi_head.predict_bbox(features, metas, proposals, None, rescale=True)
            for image in found:
                count = len(image.scores)
                if count:
                    outputs.logits[number, :count] = image.scores.cpu().numpy()
                    outputs.boxes[number, :count] = get_box_tensor(image.bboxes).cpu().numpy()
                outputs.counts[number] = count
                number += 1
                bar.update()
            if stop.signal:
                raise KeyboardInterrupt
