"""How fast the evaluation and the bootstrap are, against plain pycocotools in the same run:

python -m benchmarks.speed.evaluation --images 32000 --out speed.json

Drawn boxes and detections of the shape of DeepFashion2's validation set: 13 classes as frequent
as there, about 1.65 boxes and exactly 100 detections on each image. pycocotools is timed as users
call it (loadRes, evaluate, accumulate; boxes only, on Python objects that are there already). The
metric, from arrays, does all that goes into a result.json: both levels, rare classes, thirds; the
error analysis comes on top. At 32,000 images pycocotools alone takes minutes and many GB of
memory; --images takes fewer, the ratio hardly changes.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import platform
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mmdet_multigrain.evaluation import Detections, GroundTruth, evaluate_levels, summarize
from mmdet_multigrain.evaluation.functional.bootstrap import RESAMPLES, resample_ap
from mmdet_multigrain.evaluation.functional.error_analysis import analyze_errors
from mmdet_multigrain.launch import run_tool
from mmdet_multigrain.report.runs.paper import load_paper
from mmdet_multigrain.report.table import Column, Table
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.files import dump_json, write_whole
from mmdet_multigrain.utils.parallel import default_workers
from mmdet_multigrain.version import __version__

PER_IMAGE = 100
NEAR_TRUTH = 15  # detections of an image that stand near a box; the others anywhere
WIDTH, HEIGHT = 500, 700
# Bars: the metric's time by pycocotools' time; seconds of the bootstrap of two runs on 2 cores.
METRIC_BAR = 1 / 20
BOOTSTRAP_BAR = 60


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Time the evaluation against pycocotools, and the bootstrap of two runs'
    )
    parser.add_argument('--images', type=int, default=32_000, help='default: %(default)s')
    parser.add_argument(
        '--repeats',
        type=int,
        default=1,
        help='times of each; medians are printed (default: %(default)s)',
    )
    parser.add_argument('--resamples', type=int, default=RESAMPLES, help='default: %(default)s')
    parser.add_argument(
        '--workers',
        type=int,
        default=default_workers(),
        help='threads of the bootstrap (default: all cores)',
    )
    parser.add_argument('--seed', type=int, default=0, help='of the drawing (default: 0)')
    parser.add_argument(
        '--no-pycocotools', action='store_true', help='leave it out, and with it the ratio'
    )
    parser.add_argument('--out', type=Path, help='JSON file for the figures')
    args = parser.parse_args()
    for name in ('images', 'repeats', 'resamples', 'workers'):
        if getattr(args, name) < 1:
            parser.error(f'--{name} must be at least 1')
    return args


def draw_truth(rng: np.random.Generator, num_images: int, frequency: np.ndarray) -> GroundTruth:
    """One box on each image, often more; classes as frequent as given."""
    images = np.repeat(np.arange(num_images), 1 + rng.poisson(0.65, num_images))
    sizes = rng.uniform((80, 80), (350, 450), (len(images), 2))
    corners = rng.uniform(0, 1, (len(images), 2)) * ((WIDTH, HEIGHT) - sizes)
    return GroundTruth(
        image_ids=tuple(range(num_images)),
        images=images,
        labels=rng.choice(len(frequency), len(images), p=frequency),
        boxes=np.hstack([corners, sizes]),
        areas=sizes.prod(axis=1),
        crowd=np.zeros(len(images), dtype=bool),
    )


def draw_detections(
    rng: np.random.Generator,
    truth: GroundTruth,
    taxonomy: Taxonomy,
    frequency: np.ndarray,
    *,
    quality: float,
) -> Detections:
    """100 detections on each image, in no order of score.

    Args:
        rng: Source of chance.
        truth: Boxes on the images.
        taxonomy: Mistaken classes are mostly of the same superclass.
        frequency: Of the classes, for detections on nothing.
        quality: Share of the boxes that are found with a good score.
    """
    num_images = len(truth.image_ids)
    images = np.repeat(np.arange(num_images), PER_IMAGE)
    place = np.tile(np.arange(PER_IMAGE), num_images)
    per_image = np.bincount(truth.images, minlength=num_images)
    first = np.cumsum(per_image) - per_image
    # The first detections stand on one box each, some more near any of them.
    source = first[images] + place % per_image[images]
    main = (place < per_image[images]) & (rng.random(len(images)) < quality)
    near = main | (place < NEAR_TRUTH)
    shift = np.where(main, 0.05, 0.2)[:, None] * rng.normal(size=(len(images), 4))
    boxes = truth.boxes[source]
    boxes = boxes + shift * np.tile(boxes[:, 2:], 2)
    sizes = rng.uniform(20, 300, (len(images), 2))
    anywhere = np.hstack([rng.uniform(0, 1, sizes.shape) * ((WIDTH, HEIGHT) - sizes), sizes])
    boxes = np.where(near[:, None], boxes, anywhere)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], 1)
    groups = np.array(taxonomy.group_index(0))
    relatives = [np.flatnonzero(groups == group) for group in groups]
    likely = truth.labels[source]
    mistaken = rng.random(len(images)) < np.where(main, 0.12, 0.6)
    random_relative = np.array(
        [
            relatives[label][number % len(relatives[label])]
            for label, number in zip(likely, rng.integers(0, 60, len(likely)), strict=True)
        ]
    )
    labels = np.where(mistaken, random_relative, likely)
    labels = np.where(near, labels, rng.choice(len(frequency), len(images), p=frequency))
    scores = np.where(
        main,
        rng.beta(6, 1.5, len(images)),
        np.where(near, rng.beta(1, 6, len(images)), rng.beta(0.6, 12, len(images))),
    )
    return Detections(images, labels, boxes, scores)


def plain_coco(truth: GroundTruth, detections: Detections, num_classes: int) -> tuple[dict, list]:
    """A COCO data set and a list of results, as `json.load` gives them."""
    annotations = [
        {
            'id': number,
            'image_id': image,
            'category_id': label + 1,
            'bbox': box,
            'area': area,
            'iscrowd': 0,
        }
        for number, (image, label, box, area) in enumerate(
            zip(
                truth.images.tolist(),
                truth.labels.tolist(),
                truth.boxes.tolist(),
                truth.areas.tolist(),
                strict=True,
            ),
            start=1,
        )
    ]
    dataset = {
        'images': [{'id': image} for image in truth.image_ids],
        'annotations': annotations,
        'categories': [{'id': number, 'name': str(number)} for number in range(1, num_classes + 1)],
    }
    results = [
        {'image_id': image, 'category_id': label + 1, 'bbox': box, 'score': score}
        for image, label, box, score in zip(
            detections.images.tolist(),
            detections.labels.tolist(),
            detections.boxes.tolist(),
            detections.scores.tolist(),
            strict=True,
        )
    ]
    return dataset, results


def run_pycocotools(dataset: dict, results: list) -> float:
    """AP, as its users compute it."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = dataset
        coco.createIndex()
        evaluator = COCOeval(coco, coco.loadRes(results), 'bbox')
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return float(evaluator.stats[0])


def timed(function: Callable[[], Any]) -> tuple[float, float, Any]:
    """Wall seconds, seconds of all cores together, and what the function gives."""
    start, cpu_start = time.perf_counter(), time.process_time()
    value = function()
    return time.perf_counter() - start, time.process_time() - cpu_start, value


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Seconds of all parts, in turn, in this process."""
    paper = load_paper('df2')
    taxonomy = paper.taxonomy
    boxes = {row.name: row.train_boxes for row in paper.classes}
    train_counts = [boxes[name] for name in taxonomy.classes]
    frequency = np.array(train_counts) / sum(train_counts)
    rng = np.random.default_rng(args.seed)
    truth = draw_truth(rng, args.images, frequency)
    runs = [
        draw_detections(rng, truth, taxonomy, frequency, quality=quality)
        for quality in (0.90, 0.92)
    ]
    indices = [taxonomy.group_index(level) for level in range(taxonomy.num_levels)]

    parts = {
        'metric': lambda: summarize(
            evaluate_levels(truth, runs[0], indices), taxonomy, train_counts
        ),
        'errors': lambda: analyze_errors(truth, runs[0], taxonomy),
        'bootstrap': lambda: resample_ap(
            truth, runs, indices, resamples=args.resamples, workers=args.workers, progress=True
        ),
    }
    if not args.no_pycocotools:
        plain = plain_coco(truth, runs[0], taxonomy.num_classes)
        parts = {'pycocotools': lambda: run_pycocotools(*plain), **parts}
        warm_up = draw_truth(rng, 2, frequency)
        run_pycocotools(
            *plain_coco(
                warm_up,
                draw_detections(rng, warm_up, taxonomy, frequency, quality=1),
                taxonomy.num_classes,
            )
        )
    import hotcoco  # noqa: F401 (its import is no part of the time)

    seconds: dict[str, list[float]] = {name: [] for name in parts}
    cpu_seconds: dict[str, list[float]] = {name: [] for name in parts}
    values = {}
    for _ in range(args.repeats):
        for name, part in parts.items():
            elapsed, cpu, values[name] = timed(part)
            seconds[name].append(elapsed)
            cpu_seconds[name].append(cpu)
    ap = values['metric'].fine.coco['AP']
    if 'pycocotools' in values and abs(values['pycocotools'] - ap) > 1e-12:
        raise ConfigError(f'AP differs: pycocotools {values["pycocotools"]!r}, metric {ap!r}')
    if abs(values['bootstrap'][0].mean()[0] - ap) > 1e-12:
        raise ConfigError(f'AP differs: bootstrap {values["bootstrap"][0].mean()[0]!r}, {ap!r}')
    return {
        'seconds': seconds,
        'cpu_seconds': cpu_seconds,
        'AP': ap,
        'boxes': len(truth.labels),
        'detections': len(runs[0].scores),
    }


def show(args: argparse.Namespace, report: dict[str, Any]) -> str:
    """The table, and how it compares with the bars."""
    medians, cpu = (
        {name: statistics.median(values) for name, values in report[key].items()}
        for key in ('seconds', 'cpu_seconds')
    )
    plain = medians.get('pycocotools')
    names = {
        'pycocotools': 'pycocotools, one level',
        'metric': 'metric, both levels and summary',
        'errors': 'error analysis',
        'bootstrap': f'bootstrap of 2 runs, {args.resamples} resamples',
    }
    rows = tuple(
        (names[name], value, cpu[name], plain and value / plain) for name, value in medians.items()
    )
    table = Table(
        (
            Column('part', 'part', left=True),
            Column('seconds', 'seconds', '.2f'),
            Column('cpu_seconds', 'of all cores', '.2f'),
            Column('ratio', 'by pycocotools', '.4f'),
        ),
        rows,
    )
    lines = [
        f'{args.images} images, {report["boxes"]} boxes, {report["detections"]} detections '
        f'in each run, AP {100 * report["AP"]:.2f}',
        table.text(),
    ]
    if plain:
        both = medians['metric'] + medians['errors']
        lines.append(
            f'metric: 1/{plain / medians["metric"]:.1f} of the time of pycocotools, with '
            f'the errors 1/{plain / both:.1f} (bar: 1/{1 / METRIC_BAR:.0f})'
        )
    lines.append(
        f'bootstrap: {medians["bootstrap"]:.1f} s (bar at 32000 images and 2000 '
        f'resamples on 2 cores: {BOOTSTRAP_BAR} s); peak memory of all '
        f'{report["peak_mib"]:.0f} MiB'
    )
    return '\n'.join(lines)


def main() -> None:
    args = parse_args()
    report = measure(args)
    report['peak_mib'] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(show(args, report))
    if args.out:
        write_whole(
            args.out,
            dump_json(
                {
                    'version': __version__,
                    'python': platform.python_version(),
                    'machine': platform.machine(),
                    'cores': default_workers(),
                    'images': args.images,
                    'resamples': args.resamples,
                    'workers': args.workers,
                    'repeats': args.repeats,
                    'seed': args.seed,
                    **report,
                }
            ),
        )


if __name__ == '__main__':
    run_tool(main)
