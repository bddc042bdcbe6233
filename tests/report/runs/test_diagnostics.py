"""Runs of one variant together: means, sums, and what is left out."""

import json

import numpy as np
import pytest

from mmdet_multigrain.evaluation.functional.confusion import balanced_score, measure_confusion
from mmdet_multigrain.evaluation.functional.error_analysis import ERRORS, analyze_errors
from mmdet_multigrain.report.runs.diagnostics import diagnose_variants
from mmdet_multigrain.report.runs.load import load_runs
from mmdet_multigrain.utils.errors import ReportError

from .made_runs import TAXONOMY, write_runs


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    return load_runs(write_runs(tmp_path_factory.mktemp('runs')))


def test_variants_come_together(runs):
    found = diagnose_variants(runs)
    assert [(one.variant, one.num_runs) for one in found] == [
        ('wgroup_r18_made', 2),
        ('baseline_r18_made', 2),
        ('merged_r18_made', 2),
    ]
    own = [run for run in runs if run.variant == 'baseline_r18_made']
    errors = [analyze_errors(run.ground_truth, run.detections, TAXONOMY) for run in own]
    for kind, cost in zip(ERRORS, found[1].costs, strict=True):
        each = [one.cost(kind) for one in errors]
        assert cost.name == kind.label
        assert cost.count == sum(one.count for one in each) / 2
        assert cost.delta_ap == pytest.approx(sum(one.delta_ap for one in each) / 2)
        np.testing.assert_allclose(
            cost.class_delta_ap, (each[0].class_delta_ap + each[1].class_delta_ap) / 2
        )
        assert cost.class_counts.sum() == cost.count
    assert found[1].ap50 == pytest.approx(sum(one.ap for one in errors) / 2)
    counts = [measure_confusion(run.ground_truth, run.detections, TAXONOMY).counts for run in own]
    np.testing.assert_array_equal(found[1].confusion.counts, counts[0] + counts[1])
    assert found[1].min_scores == tuple(
        balanced_score(run.ground_truth, run.detections) for run in own
    )
    assert sum(part.count for part in found[1].score_bins) == 96
    hits = sum(part.count * part.precision for part in found[1].score_bins)
    assert hits == pytest.approx(sum((one.detections.kinds == 0).sum() for one in errors))


def test_a_run_without_detections_leaves_its_variant_out(runs, tmp_path):
    folders = write_runs(tmp_path)
    (folders[0] / 'result.bbox.json').unlink()
    assert [one.variant for one in diagnose_variants(load_runs(folders))] == [
        'baseline_r18_made',
        'merged_r18_made',
    ]


def test_ground_truth_of_another_test_shows_without_a_bootstrap(tmp_path):
    folders = write_runs(tmp_path)
    content = json.loads((tmp_path / 'val.json').read_text())
    for item in content['annotations']:
        item['bbox'][0] += 30  # as many boxes of each class, at other places
    (tmp_path / 'moved.json').write_text(json.dumps(content))
    runs = load_runs(folders[:1], ann_file=tmp_path / 'moved.json')
    with pytest.raises(
        ReportError,
        match=r'result\.json: its AP50 is 0\.\d+, but its detections '
        r'on .*moved\.json give 0\.\d+; name the file',
    ):
        diagnose_variants(runs)
