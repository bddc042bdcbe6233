"""Small runs for the tests of reports: boxes drawn at random, and detections around them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmdet_multigrain.evaluation import Result, RunRecord, evaluate_levels, summarize, write_result
from mmdet_multigrain.evaluation.functional.intervals import Difference, Term
from mmdet_multigrain.report.runs.comparison import Gain
from mmdet_multigrain.report.runs.inputs import TestSet, read_detections
from mmdet_multigrain.taxonomy import Taxonomy

# Names that HTML, Markdown and LaTeX would each take for markup.
SCRIPT, AND, STARS = '<script>alert(1)</script>', 'a & b_c%', '*x* | `y` $z$'
TAXONOMY = Taxonomy.load(
    {
        'name': 'made',
        'groups': {'top <b>': [SCRIPT, AND], 'bottom': [STARS, 'skirt']},
        'ungrouped': ['hat'],
    }
)
TRAIN = (40, 10, 30, 50, 20)
NUM_IMAGES = 24


def interval(value: float, margin: float, *, seeds: bool = True, images: int = 9) -> Difference:
    """A difference with an interval of this half length."""
    term = Term((margin / 1.959964) ** 2, 1e9)
    return Difference(value, (term,) if seeds else (), Term(0.0, 1) if seeds else term, images)


def gain(value: float, margin: float, **options: Any) -> Gain:
    """A gain with such an interval; one of a single variant if it is over seeds."""
    found = interval(value, margin, **options)
    return Gain(value, found, float(found.p_value) if found.over_seeds else math.nan)


def write_ground_truth(path: Path, *, taxonomy: Taxonomy = TAXONOMY, seed: int = 0) -> Path:
    """A COCO file: two boxes in each image."""
    rng = np.random.default_rng(seed)
    count = 2 * NUM_IMAGES
    corners, sizes = rng.integers(0, 100, (count, 2)), rng.integers(20, 100, (count, 2))
    labels = rng.integers(taxonomy.num_classes, size=count)
    content = {
        'images': [
            {'id': number, 'file_name': f'{number}.jpg', 'width': 200, 'height': 200}
            for number in range(1, NUM_IMAGES + 1)
        ],
        'categories': [
            {'id': number, 'name': name, 'supercategory': taxonomy.superclass_of(name)}
            for number, name in enumerate(taxonomy.classes, 1)
        ],
        'annotations': [
            {
                'id': number + 1,
                'image_id': number // 2 + 1,
                'category_id': int(labels[number]) + 1,
                'bbox': [*map(int, corners[number]), *map(int, sizes[number])],
                'iscrowd': 0,
                'area': int(sizes[number].prod()),
            }
            for number in range(count)
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def detect(truth: Path, *, wrong: float, seed: int) -> list[dict]:
    """Detections: each box, somewhat off, of a wrong class with this probability."""
    content = json.loads(truth.read_text())
    rng = np.random.default_rng([seed, round(100 * wrong)])
    found = []
    for item in content['annotations']:
        category = item['category_id']
        if rng.random() < wrong:
            category = int(rng.integers(len(content['categories']))) + 1
        box = np.array(item['bbox']) + rng.normal(0, 3, 4)
        found.append(
            {
                'image_id': item['image_id'],
                'category_id': category,
                'bbox': np.maximum(box, 1).round(2).tolist(),
                'score': round(float(rng.uniform(0.2, 1)), 4),
            }
        )
    return found


def write_run(
    folder: Path,
    truth: Path,
    *,
    wrong: float,
    seed: int,
    config: str,
    taxonomy: Taxonomy = TAXONOMY,
    detections: bool = True,
) -> Path:
    """A work dir as a test leaves it."""
    folder.mkdir(parents=True)
    path = folder / 'result.bbox.json'
    path.write_text(json.dumps(detect(truth, wrong=wrong, seed=seed)))
    test_set = TestSet(truth, taxonomy, False)
    levels = evaluate_levels(
        test_set.ground_truth,
        read_detections(path, test_set),
        [taxonomy.group_index(level) for level in range(taxonomy.num_levels)],
    )
    if not detections:
        path.unlink()
    train = TRAIN if taxonomy.num_classes == len(TRAIN) else None
    write_result(
        folder / 'result.json',
        Result(
            summary=summarize(levels, taxonomy, train),
            taxonomy=taxonomy,
            ann_file=str(truth),
            train_ann_file='train.json',
            detections_file='result.bbox.json',
            run=RunRecord(
                config=config,
                checkpoint='iter_9.pth',
                iteration=9,
                seed=seed,
                versions={'torch': '2'},
            ),
        ),
    )
    return folder


def write_runs(root: Path, *, seeds: Sequence[int] = (0, 1)) -> list[Path]:
    """A baseline and two variants, some seeds each; the second variant is about as good as the first."""
    truth = write_ground_truth(root / 'val.json')
    return [
        write_run(
            root / f'{name}_seed{seed}',
            truth,
            wrong=wrong,
            seed=seed,
            config=f'configs/{name}_r18_made.py',
        )
        for name, wrong in (('wgroup', 0.1), ('baseline', 0.5), ('merged', 0.48))
        for seed in seeds
    ]
