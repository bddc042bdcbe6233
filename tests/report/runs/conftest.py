"""Work folders of tests for the tests of runs."""

import pytest

from mmdet_multigrain.evaluation import (
    Result,
    RunRecord,
    evaluate_levels,
    summarize,
    write_result,
)
from mmdet_multigrain.report.runs.inputs import TestSet, read_detections

from .made_work_dirs import DETECTIONS, GARMENTS, ground_truth, write


@pytest.fixture
def make(tmp_path):
    """Write a work dir as a test leaves it; give its folder."""
    truth = write(tmp_path / 'data' / 'val.json', ground_truth())

    def work_dir(
        name,
        *,
        detections=DETECTIONS,
        config=None,
        seed=None,
        ann_file=truth,
        taxonomy=GARMENTS,
        images=None,
        train=None,
    ):
        folder = tmp_path / name
        path = write(folder / 'result.bbox.json', detections)
        test_set = TestSet(truth, taxonomy, True)
        levels = evaluate_levels(
            test_set.ground_truth,
            read_detections(path, test_set),
            [taxonomy.group_index(level) for level in range(taxonomy.num_levels)],
        )
        write_result(
            folder / 'result.json',
            Result(
                summary=summarize(levels, taxonomy, train),
                taxonomy=taxonomy,
                ann_file=str(ann_file),
                detections_file='result.bbox.json',
                run=RunRecord(config=config, seed=seed, image_folder=images),
            ),
        )
        return folder

    work_dir.truth = truth
    return work_dir
