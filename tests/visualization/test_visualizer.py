"""MMDetection's visualizer on labels above background."""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.visualization import DetLocalVisualizer
from mmengine.structures import InstanceData

from mmdet_multigrain.datasets import taxonomy_metainfo
from mmdet_multigrain.visualization.visualizer import MultiGrainedVisualizer


def draw(kind, taxonomy, labels, monkeypatch):
    """Names and colors of the boxes that are drawn, and the picture."""
    visualizer = kind()
    visualizer.dataset_meta = taxonomy_metainfo(taxonomy)
    names, colors = [], []
    draw_texts, draw_bboxes = visualizer.draw_texts, visualizer.draw_bboxes
    monkeypatch.setattr(
        visualizer,
        'draw_texts',
        lambda text, *a, **k: names.append(text) or draw_texts(text, *a, **k),
    )
    monkeypatch.setattr(
        visualizer,
        'draw_bboxes',
        lambda boxes, edge_colors, **k: (
            colors.extend(edge_colors) or draw_bboxes(boxes, edge_colors=edge_colors, **k)
        ),
    )
    sample = DetDataSample()
    boxes = torch.tensor([[10.0, 10, 60, 60]]).repeat(len(labels), 1)
    sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.tensor(labels))
    visualizer.add_datasample('x', np.zeros((80, 80, 3), np.uint8), sample, draw_pred=False)
    return names, colors, visualizer.get_image()


def test_groups_have_their_name_and_the_color_of_their_first_class(garments, monkeypatch):
    palette = taxonomy_metainfo(garments)['palette']
    names, colors, _ = draw(MultiGrainedVisualizer, garments, [4, 6, 7, 8], monkeypatch)
    assert names == ['shorts', 'top', 'bottom', 'object']
    assert colors == [palette[label] for label in (4, 0, 1, 0)]
    with pytest.raises((IndexError, AssertionError)):
        draw(DetLocalVisualizer, garments, [4, 6], monkeypatch)


def test_classes_are_drawn_as_by_stock(garments, monkeypatch):
    pictures = [
        draw(kind, garments, [0, 3], monkeypatch)[2]
        for kind in (MultiGrainedVisualizer, DetLocalVisualizer)
    ]
    assert np.array_equal(*pictures)


def test_data_without_a_taxonomy_is_drawn_as_by_stock(garments):
    sample = DetDataSample()
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[10.0, 10, 60, 60]]), labels=torch.tensor([3])
    )
    pictures = []
    for kind in (MultiGrainedVisualizer, DetLocalVisualizer):
        visualizer = kind()
        metainfo = taxonomy_metainfo(garments)
        visualizer.dataset_meta = {name: metainfo[name] for name in ('classes', 'palette')}
        visualizer.add_datasample('x', np.zeros((80, 80, 3), np.uint8), sample, draw_pred=False)
        pictures.append(visualizer.get_image())
    assert np.array_equal(*pictures)
