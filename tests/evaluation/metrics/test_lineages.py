"""Lineages of detections: on their way from the detector to the file of detections."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mmdet_multigrain.report.runs.inputs import TestSet, read_detections

from .metric_cases import BOXES, TAXONOMY, coco_content, run, sample, write

SAMPLES = {
    1: [(0, 10, 10, 20, 20, 0.9), (1, 10, 10, 20, 20, 0.3)],
    2: [],
    3: [(4, 300, 50, 60, 60, 0.8)],
}


def with_lineages(image_id, rows):
    data = sample(image_id, rows)
    values = np.random.default_rng(image_id).random((len(rows), 2), dtype=np.float32)
    data['pred_instances']['lineage'] = torch.from_numpy(np.sort(values, axis=1))
    return data


@pytest.fixture
def files(tmp_path):
    """Run the metric on some samples; give its result and its detections."""
    truth = write(tmp_path / 'val.json', coco_content(BOXES, 3, cat_ids=(5, 4, 3, 2, 1)))

    def run_on(samples, prefix='dets'):
        out = tmp_path / 'result.json'
        found = run(samples, truth, result_file=str(out), outfile_prefix=str(tmp_path / prefix))
        return found, out.read_bytes(), Path(f'{tmp_path / prefix}.bbox.json'), Path(truth)

    return run_on


def test_the_file_has_them_and_nothing_else_changes(files):
    samples = [with_lineages(*item) for item in SAMPLES.items()]
    values, result, path, truth = files(samples)
    told = json.loads(path.read_bytes())
    found = read_detections(path, TestSet(truth, TAXONOMY, False))
    expected = np.concatenate([one['pred_instances']['lineage'] for one in samples])
    assert found.lineages.astype(np.float32).tobytes() == expected.tobytes()  # every bit
    assert len(json.dumps(told[0]['lineage'])) < 30  # no digits of float64
    plain = [sample(*item) for item in SAMPLES.items()]
    plain_values, plain_result, path, truth = files(plain)
    assert (values, result) == (plain_values, plain_result)
    for item in told:
        del item['lineage']
    assert path.read_text() == json.dumps(told)
    assert read_detections(path, TestSet(truth, TAXONOMY, False)).lineages is None


def test_no_detections(files):
    assert json.loads(files([with_lineages(1, [])])[2].read_bytes()) == []
