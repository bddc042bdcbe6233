"""The metric that keeps matches: which detections, with which lineage and object."""

from __future__ import annotations

import pytest
import torch

from mmdet_multigrain.datasets import taxonomy_metainfo
from mmdet_multigrain.evaluation.metrics.match_metric import MatchMetric
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import EvaluationError

from .metric_cases import BOXES, TAXONOMY, coco_content, sample, write

COARSE = {'id': 99, 'image_id': 1, 'category_id': 9, 'bbox': [200, 300, 80, 80], 'area': 6400}


def matches_of(samples, ann_file=None, taxonomy=TAXONOMY, **kwargs):
    metric = MatchMetric(ann_file=ann_file, **kwargs)
    metric.dataset_meta = taxonomy_metainfo(taxonomy)
    for data_sample in samples:
        found = data_sample['pred_instances']
        # The lineage tells which detection it is of.
        found['lineage'] = torch.stack([found['scores'], found['scores'] / 2 + 0.5], dim=1)
        metric.process({}, [data_sample])
    assert metric.evaluate(size=len(samples)) == {}
    assert metric.image_ids == (1, 2, 3) and metric.taxonomy == taxonomy.hierarchy
    return metric.matches


@pytest.fixture
def samples():
    """Image 3 has no detection, image 2 a wrong class, a stray and a weak one."""
    return [
        sample(3, []),
        sample(1, [(0, 10, 10, 20, 20, 0.75), (2, 200, 300, 80, 80, 0.9)]),
        sample(
            2, [(4, 10, 10, 120, 120, 0.5), (0, 400, 9, 9, 9, 0.9), (3, 200, 200, 40, 60, 0.25)]
        ),
    ]


@pytest.mark.parametrize('from_file', [True, False])
def test_matches(tmp_path, samples, from_file):
    """Whatever the class; not on a box of which only the superclass is known."""
    content = coco_content(BOXES, 3)
    content['categories'].append({'id': 9, 'name': 'bottom'})
    content['annotations'].append(COARSE)
    if not from_file:
        for data_sample in samples:
            boxes = [box[1:] for box in BOXES if box[0] == data_sample['img_id']]
            if data_sample['img_id'] == 1:
                boxes.append((TAXONOMY.num_classes + 2, *COARSE['bbox']))
            data_sample['instances'] = [
                dict(bbox=[x, y, x + w, y + h], bbox_label=label, ignore_flag=0)
                for label, x, y, w, h in boxes
            ]
    # Samplers may give an image twice.
    found = matches_of(
        [*samples, samples[1]], write(tmp_path / 'a.json', content) if from_file else None
    )
    rows = zip(
        found.photos.tolist(), found.probabilities.tolist(), found.wrong.tolist(), strict=True
    )
    assert sorted(rows) == [
        (0, [0.75, 0.875], [False, False]),
        (1, [0.25, 0.625], [False, False]),
        (1, [0.5, 0.75], [True, False]),
    ]


def test_detections_below_the_threshold_take_no_part(samples, ann_file):
    assert sorted(matches_of(samples, ann_file, score_thr=0.5).photos) == [0, 1]
    assert matches_of(samples, ann_file, score_thr=0.99).probabilities.shape == (0, 2)


def test_no_image(ann_file):
    with pytest.raises(EvaluationError, match='no image was evaluated'):
        matches_of([], ann_file)


def test_of_several_trees_the_main_one_counts(samples, ann_file):
    """The wrong class of image 2 is of the same kind, but of another use."""
    use = [('in',), ('in',), ('in',), ('in',), ('out',)]
    trees = {'kind': TAXONOMY.paths, 'use': use}
    for main_tree, wrong in (('kind', [True, False]), ('use', [True, True])):
        taxonomy = Taxonomy('x', TAXONOMY.classes, trees, main_tree=main_tree)
        assert wrong in matches_of(samples, ann_file, taxonomy).wrong.tolist()
