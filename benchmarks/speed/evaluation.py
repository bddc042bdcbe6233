"""How fast the evaluation and the bootstrap are, compared with pycocotools in the same run:

python -m benchmarks.speed.evaluation --images 32000 --out speed.json

Boxes and detections are drawn, classes as frequent as in DeepFashion2. pycocotools is timed as
users call it (loadRes, evaluate, accumulate; boxes only, on existing Python objects). The metric,
from arrays, does everything that goes into a result.json: both levels, rare classes, thirds; the
error analysis is extra. At 32,000 images pycocotools takes minutes and many GB of memory;
--images takes fewer, which hardly changes the ratio.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.arguments import make_parser, positive
from benchmarks.common.processes import peak_mb
from benchmarks.common.ratios import rounds
from benchmarks.common.records import write_figures
from benchmarks.common.tables import text_table
from benchmarks.speed.drawn_results import draw_detections, draw_truth, plain_coco
from mmdet_multigrain.evaluation import evaluate_levels, summarize
from mmdet_multigrain.evaluation.functional.bootstrap import RESAMPLES, resample_ap
from mmdet_multigrain.evaluation.functional.error_analysis import analyze_errors
from mmdet_multigrain.launch import run_tool
from mmdet_multigrain.report.runs.paper import load_paper
from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.parallel import default_workers

# Bars: the metric's time by pycocotools' time; seconds of the bootstrap of two runs on 2 cores.
METRIC_BAR = 1 / 20
BOOTSTRAP_BAR = 60


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument('--images', type=positive, default=32_000, help='how many')
    parser.add_argument('--repeats', type=positive, default=1, help='rounds')
    parser.add_argument('--resamples', type=positive, default=RESAMPLES, help='of the bootstrap')
    parser.add_argument('--no-pycocotools', action='store_true', help='leave it and the ratio out')
    parser.add_argument('--out', type=Path, metavar='FILE', help='JSON file for the figures')
    return parser.parse_args()


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


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Seconds of all parts, in rounds, in this process."""
    paper = load_paper('df2')
    taxonomy = paper.taxonomy
    boxes = {row.name: row.train_boxes for row in paper.classes}
    train_counts = [boxes[name] for name in taxonomy.classes]
    frequency = np.array(train_counts) / sum(train_counts)
    rng = np.random.default_rng(0)

    def draw(images: int, *qualities: float) -> tuple:
        truth = draw_truth(rng, images, frequency)
        options = dict(rng=rng, truth=truth, taxonomy=taxonomy, frequency=frequency)
        return truth, [draw_detections(**options, quality=quality) for quality in qualities]

    truth, runs = draw(args.images, 0.90, 0.92)
    levels = [taxonomy.group_index(level) for level in range(taxonomy.num_levels)]
    options = dict(resamples=args.resamples, workers=default_workers(), progress=True)
    parts = {
        'metric': lambda: summarize(
            evaluate_levels(truth, runs[0], levels), taxonomy, train_counts
        ),
        'errors': lambda: analyze_errors(truth, runs[0], taxonomy),
        'bootstrap': lambda: resample_ap(truth, runs, levels, **options),
    }
    if not args.no_pycocotools:
        plain = plain_coco(truth, runs[0], taxonomy.classes)
        parts = {'pycocotools': lambda: run_pycocotools(*plain), **parts}
        few, (found,) = draw(2, 1)  # to import it and warm it up
        run_pycocotools(*plain_coco(few, found, taxonomy.classes))
    import hotcoco  # noqa: F401 (its import does not count)

    seconds: dict[str, list[float]] = {name: [] for name in parts}
    cpu_seconds: dict[str, list[float]] = {name: [] for name in parts}
    values = {}
    for _, name in rounds(parts, repeats=args.repeats, title='timing'):
        start, cpu_start = time.perf_counter(), time.process_time()
        values[name] = parts[name]()
        seconds[name].append(time.perf_counter() - start)
        cpu_seconds[name].append(time.process_time() - cpu_start)
    ap = values['metric'].fine.coco['AP']
    others = {'bootstrap': values['bootstrap'][0].mean()[0]}
    others['pycocotools'] = values.get('pycocotools', ap)
    for name, other in others.items():
        if abs(other - ap) > 1e-12:
            raise ConfigError(f'AP differs: {name} {other!r}, metric {ap!r}')
    counts = dict(AP=ap, boxes=len(truth.labels), detections=len(runs[0].scores))
    return dict(seconds=seconds, cpu_seconds=cpu_seconds, **counts, peak_mb=peak_mb())


def show(args: argparse.Namespace, report: dict[str, Any]) -> None:
    """Print the table, and the bars."""
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
    columns = {'part': '', 'seconds': '.2f', 'of all cores': '.2f', 'by pycocotools': '.4f'}
    rows = (
        (names[name], value, cpu[name], plain and value / plain) for name, value in medians.items()
    )
    print(
        f'{args.images} images, {report["boxes"]} boxes, {report["detections"]} detections '
        f'in each run, AP {100 * report["AP"]:.2f}\n{text_table(columns, rows)}'
    )
    if plain:
        both = medians['metric'] + medians['errors']
        print(
            f'metric: 1/{plain / medians["metric"]:.1f} of the time of pycocotools, with '
            f'the errors 1/{plain / both:.1f} (bar: 1/{1 / METRIC_BAR:.0f})'
        )
    print(
        f'bootstrap: {medians["bootstrap"]:.1f} s (bar at 32000 images and 2000 resamples on '
        f'2 cores: {BOOTSTRAP_BAR} s); peak memory of all {report["peak_mb"]:.0f} MB'
    )


def main() -> None:
    args = parse_args()
    report = measure(args)
    show(args, report)
    numbers = dict(images=args.images, resamples=args.resamples, repeats=args.repeats)
    write_figures(args.out, **numbers, **report)


if __name__ == '__main__':
    run_tool(main)
