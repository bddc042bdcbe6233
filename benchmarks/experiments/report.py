"""Tables of an experiment from its result files: python -m benchmarks.experiments.report NAME

Prints Markdown: the primary question replicate by replicate, and the means of all variants.
Results that may not be compared are refused (`comparable`), and so is a look at the differences
before all planned replicates are there. With --data come intervals and the replicates to plan.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.common.arguments import make_parser
from mmdet_multigrain.launch import run_tool
from mmdet_multigrain.utils.files import load_json

from .comparable import ComparisonError, check_comparable, write_equality
from .intervals import PILOT, differences, interval_table, load_truth, plan_text
from .plan import RESULTS, RUNS, Experiment, Results, load_experiment, paired, read_results


def replicate_table(experiment: Experiment, results: Results) -> str:
    """The primary measure of each replicate, and the difference."""
    variant, reference = (experiment.primary[key] for key in ('variant', 'reference'))
    measure = experiment.primary['measure']
    rows, differences = [], []
    for number in paired(results, variant, reference):
        one, other = (results[name, number]['scores'][measure] for name in (variant, reference))
        differences.append(one - other)
        rows.append(f'| {number} | {other:.2f} | {one:.2f} | {one - other:+.2f} |')
    spread = f' (SD {statistics.stdev(differences):.2f})' if len(rows) > 1 else ''
    return '\n'.join(
        [
            f'| replicate | {reference} | {variant} | difference |',
            '|---|---|---|---|',
            *rows,
            f'| mean | | | {statistics.fmean(differences):+.2f}{spread} |',
        ]
    )


def variant_table(experiment: Experiment, results: Results) -> str:
    """Means of all variants over their replicates."""
    columns = list(dict.fromkeys([experiment.primary['measure'], 'AP50', 'AP', 'superclass AP50']))
    lines = [f'| variant | replicates | {" | ".join(columns)} |', '|---' * (len(columns) + 2) + '|']
    for variant in experiment.variants:
        if own := [result for (name, _), result in results.items() if name == variant.name]:
            cells = [_mean([_score(result, column) for result in own]) for column in columns]
            lines.append(f'| {variant.name} | {len(own)} | {" | ".join(cells)} |')
    return '\n'.join(lines)


def _score(result: Mapping[str, Any], column: str) -> float | None:
    """A score; the classes of a flat detector of superclasses are superclasses."""
    if result['labels'] == 'superclasses':
        column = column.removeprefix('superclass ') if 'superclass' in column else ''
    return result['scores'].get(column)


def _mean(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f'{statistics.fmean(known):.2f}' if known else '-'


def render(
    experiment: Experiment, results: Results, folder: Path, *, source: Path | None = None
) -> str:
    """The tables, in Markdown.

    Args:
        experiment: The experiment.
        results: Its results.
        folder: Of its result files.
        source: The data set's folder, for intervals; default: none.

    Raises:
        ComparisonError: The results may not be compared, or not yet.
    """
    check_comparable(results.values(), folder)
    variant, reference = (experiment.primary[key] for key in ('variant', 'reference'))
    replicates = paired(results, variant, reference)
    if len(replicates) < experiment.replicates:
        raise ComparisonError(
            f'{experiment.name}: {len(replicates)} of {experiment.replicates} replicates of {variant} '
            f'and {reference} are done; there is no look before all are'
        )
    intervals = []
    if source is not None:
        truth, taxonomy = load_truth(experiment, results, source)
        found = differences(experiment, results, truth, taxonomy)
        # Later replicates have no say in how many there are.
        first_ones = {key: result for key, result in results.items() if key[1] <= PILOT}
        pilot = differences(experiment, first_ones, truth, taxonomy)[variant]
        plan = plan_text(pilot, [number for number in replicates if number <= PILOT])
        intervals = [interval_table(found, variant), plan]
    first = next(iter(results.values()))
    return '\n\n'.join(
        [
            f'**{" ".join(experiment.question.split())}**',
            replicate_table(experiment, results),
            variant_table(experiment, results),
            *intervals,
            f'Commit {first["commit"][:12]}, {first["device"]}: {first["hardware"]}, one thread. '
            f'Scores are those of the packed detections (at most '
            f'{max(result["detections"]["dropped"] for result in results.values())} dropped in a run).',
        ]
    )


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument('experiment', nargs='?', default='rbc12', help='name in the file of runs')
    parser.add_argument('--runs', type=Path, default=RUNS, help='file of runs')
    parser.add_argument('--results', type=Path, default=RESULTS, help='folder of results')
    parser.add_argument('--data', type=Path, help="the data set's folder, for intervals")
    parser.add_argument(
        '--equal',
        type=Path,
        metavar='FILE',
        help='instead: record that this result of other sources equals the one of the same run',
    )
    args = parser.parse_args()
    experiment = load_experiment(args.experiment, args.runs)
    results = read_results(experiment, args.results)
    folder = args.results / experiment.name
    if args.equal:
        other = load_json(args.equal)
        key = other['variant'], other['replicate']
        if key not in results:
            raise ComparisonError(f'{folder}: no result of {key[0]}, replicate {key[1]}')
        print(write_equality(results[key], other, folder))
        return
    if not results:
        raise ComparisonError(f'{folder}: no results')
    print(render(experiment, results, folder, source=args.data))


if __name__ == '__main__':
    run_tool(main)
