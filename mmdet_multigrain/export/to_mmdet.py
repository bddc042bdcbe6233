"""A config and a checkpoint that stock MMDetection loads, without this package."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import mmdet
import torch
from mmcv.transforms import Compose
from mmdet.registry import MODELS
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from torch import nn

from mmdet_multigrain.apis.detector import Detector
from mmdet_multigrain.utils.errors import ExportError
from mmdet_multigrain.utils.files import write_whole
from mmdet_multigrain.visualization.palette import class_palette

from .compare import Difference, Found, all_scores, difference
from .stock_data import stock_data
from .stock_model import stock_model

CONFIG, CHECKPOINT = 'detector.py', 'detector.pth'
_HEADER = """\
# A stock Faster R-CNN of MMDetection: it needs nothing but mmdet, mmcv and mmengine.
#     model = mmdet.apis.init_detector('{config}', '{checkpoint}', device='cpu')
# Labels are the classes of metainfo, in that order. CocoDataset numbers labels in the order of the
# categories in the annotation file: a file of your own has to list the same names in this order.
"""


def export_mmdet(cfg: Config, detector: Detector, pictures: list, folder: Path) -> list[str]:
    """Write `detector.py` and `detector.pth`, and check that they detect the same.

    Args:
        cfg: The config that the detector was built from.
        detector: The trained detector, on the CPU.
        pictures: Images to compare detections on, (height, width, 3) uint8, blue-green-red.
        folder: Where to write.

    Returns:
        Lines that say what was written and how it was checked.

    Raises:
        ExportError: Stock MMDetection has no equal of this model, or the detections differ.
    """
    classes, palette = detector.taxonomy.classes, class_palette(detector.taxonomy)
    model_config, tensors = stock_model(cfg.model.to_dict(), detector.model)
    data = stock_data(cfg.to_dict(), taxonomy=detector.taxonomy, palette=palette, folder=folder)
    stock_cfg = Config(
        dict(
            default_scope='mmdet',
            model=model_config,
            **data.entries,
            visualizer=dict(
                type='DetLocalVisualizer',
                vis_backends=[dict(type='LocalVisBackend')],
                name='visualizer',
            ),
        )
    )
    text = _HEADER.format(config=CONFIG, checkpoint=CHECKPOINT) + stock_cfg.pretty_text
    write_whole(folder / CONFIG, text.encode())
    content = io.BytesIO()
    meta = dict(
        cfg=text,
        dataset_meta=dict(classes=classes, palette=palette),
        mmdet_version=mmdet.__version__,
    )
    torch.save(dict(meta=meta, state_dict=tensors), content)
    write_whole(folder / CHECKPOINT, content.getbuffer())
    seen = check_mmdet(detector, folder, pictures)
    return [data.note, f'checked: {seen}']


def check_mmdet(detector: Detector, folder: Path, pictures: list) -> Difference:
    """Compare the files' detections with those of the detector, of any score.

    Raises:
        ExportError: They are not equal, bit by bit.
    """
    cfg = Config.fromfile(folder / CONFIG)
    stock = MODELS.build(cfg.model)
    content = torch.load(folder / CHECKPOINT, map_location='cpu', weights_only=True)
    stock.load_state_dict(content['state_dict'])
    pipeline = get_test_pipeline_cfg(cfg)
    pipeline[0] = dict(type='LoadImageFromNDArray')
    pipeline = Compose(pipeline)
    found = [detect(model, pipeline, pictures) for model in (detector.model, stock.eval())]
    seen = difference(*found)
    if seen.box or seen.score:
        raise ExportError(f'the exported detector does not detect the same here: {seen}')
    return seen


@torch.no_grad()
def detect(model: nn.Module, pipeline: Any, pictures: list) -> list[Found]:
    """All detections of a detector of MMDetection, whatever their score, picture by picture."""
    found = []
    with all_scores(model):
        for picture in pictures:
            batch = pseudo_collate([pipeline(dict(img=picture, img_id=0))])
            instances = model.test_step(batch)[0].pred_instances.numpy()
            found.append(Found(instances.bboxes, instances.scores, instances.labels))
    return found
