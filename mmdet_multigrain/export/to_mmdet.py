"""A config and a checkpoint that stock MMDetection loads, without this package."""

from __future__ import annotations

import copy
import io
from pathlib import Path

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

from .compare import Difference, Found, difference
from .stock_data import stock_data
from .stock_model import stock_model

CONFIG, CHECKPOINT = 'detector.py', 'detector.pth'
_HEADER = """\
# A detector of stock MMDetection: it needs nothing but mmdet, mmcv and mmengine.
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
    entries, note = stock_data(
        cfg.to_dict(), taxonomy=detector.taxonomy, palette=palette, folder=folder
    )
    backends = [dict(type='LocalVisBackend')]
    visualizer = dict(type='DetLocalVisualizer', vis_backends=backends, name='visualizer')
    entries = dict(model=model_config, **entries, visualizer=visualizer)
    stock_cfg = Config(dict(default_scope='mmdet', **entries))
    text = _HEADER.format(config=CONFIG, checkpoint=CHECKPOINT) + stock_cfg.pretty_text
    write_whole(folder / CONFIG, text.encode())
    content = io.BytesIO()
    metainfo = dict(classes=classes, palette=palette)
    meta = dict(cfg=text, dataset_meta=metainfo, mmdet_version=mmdet.__version__)
    torch.save(dict(meta=meta, state_dict=tensors), content)
    write_whole(folder / CHECKPOINT, content.getbuffer())
    seen = check_mmdet(detector, folder, pictures)
    return [note, f'checked: {seen}']


def check_mmdet(detector: Detector, folder: Path, pictures: list) -> Difference:
    """Compare the files' detections with those of the detector, of any score.

    Raises:
        ExportError: They are not equal, bit for bit.
    """
    cfg = Config.fromfile(folder / CONFIG)
    stock = MODELS.build(cfg.model)
    content = torch.load(folder / CHECKPOINT, map_location='cpu', weights_only=True)
    stock.load_state_dict(content['state_dict'])
    samples = read_arrays(cfg, pictures)
    seen = difference(detect(detector.model, samples), detect(stock.eval(), samples))
    if seen.box or seen.score:
        raise ExportError(f'the exported detector does not detect the same here: {seen}')
    return seen


def read_arrays(cfg: Config, pictures: list) -> list[dict]:
    """What the test pipeline makes of each picture."""
    pipeline = Compose([dict(type='LoadImageFromNDArray'), *get_test_pipeline_cfg(cfg)[1:]])
    return [pipeline(dict(img=picture, img_id=0)) for picture in pictures]


@torch.no_grad()
def detect(model: nn.Module, samples: list[dict]) -> list[Found]:
    """All detections of a detector of MMDetection, whatever their score, picture by picture."""
    found, config = [], model.roi_head.test_cfg
    score_thr, config.score_thr = config.score_thr, 0.0
    try:
        for sample in samples:
            # A copy, because detectors write into what they are given.
            result = model.test_step(pseudo_collate([copy.deepcopy(sample)]))[0]
            instances = result.pred_instances.numpy()
            columns = instances.bboxes, instances.scores, instances.labels
            found.append(Found(*columns, instances.get('lineage')))
    finally:
        config.score_thr = score_thr
    return found
