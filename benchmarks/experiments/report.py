"""Tables of an experiment from its result files: python -m benchmarks.experiments.report NAME

Prints Markdown: the primary question replicate by replicate, and the means of all variants.
Results that may not be compared are refused (`comparable`), and so is a look at the differences
before all replicates are there. After the pilot it says how many these are, and nothing else. With
--data come intervals, and flat controls (`flat`). With --write the section of a Markdown file
between `<!-- begin NAME -->` and `<!-- end NAME -->` is replaced; before all replicates are there it
tells how far the runs are. --scores and --gains draw figures.
"""

from __future__ import annotations

import argparse
import re
import statistics
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.common.arguments import make_parser
from mmdet_multigrain.launch import run_tool
from mmdet_multigrain.utils.files import load_json, write_whole
from mmdet_multigrain.visualization import style

from .added import added_table
from .comparable import ComparisonError, check_comparable, write_equality
from .figure import gain_figure, score_figure
from .flat import compare_flat
from .folds import by_replicate, parts_of
from .intervals import differences, interval_table, load_truth, plan_replicates, plan_text
from .plan import (
    GROUP,
    OBJECT,
    RESULTS,
    RUNS,
    SUPERCLASS,
    Experiment,
    Results,
    Run,
    load_experiment,
    paired,
    read_results,
    stopped_by_gate,
)
from .why import class_gains, error_table, sibling_table

FEWEST = 4  # classes with the fewest fine boxes that a table names
# What the labels of a flat detector are to others.
PROTOCOLS = dict(superclasses=(SUPERCLASS, GROUP), object=(OBJECT,))


def replicate_table(experiment: Experiment, results: Results) -> str:
    """The primary measure of each replicate, and the difference."""
    variant, reference = experiment.pair
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
    own = [experiment.primary['measure'], *experiment.measures]
    own += [f'{name} AP50' for name in experiment.class_sets]
    columns = list(dict.fromkeys([*own, 'AP50', 'AP', 'superclass AP50']))
    lines = [f'| variant | replicates | {" | ".join(columns)} |', '|---' * (len(columns) + 2) + '|']
    for variant in experiment.variants:
        if own := [result for (name, _), result in results.items() if name == variant.name]:
            cells = [_mean([_score(result, column) for result in own]) for column in columns]
            lines.append(f'| {variant.name} | {len(own)} | {" | ".join(cells)} |')
    return '\n'.join(lines)


def coarse_table(results: Results) -> str:
    """What training boxes lost their fine label, by share and replicate; empty without any."""
    rows = {}
    for (_, number), result in results.items():
        if done := result.get('coarse'):
            left = Counter({name: -boxes['fine'] for name, boxes in done['boxes'].items()})
            fewest = ', '.join(f'{name} {-count}' for name, count in left.most_common(FEWEST))
            boxes = sum(boxes['coarse'] for boxes in done['boxes'].values())
            rows[done['share'], number] = (
                f'| {done["share"]:.0%} | {number} | {done["reached"]:.1%} ({boxes}) '
                f'| {done["photos"]} of {done["of_photos"]} | {fewest} |'
            )
    head = [
        '| share | replicate | boxes without a fine label | photos | fewest fine boxes left |',
        '|---|---|---|---|---|',
    ]
    return '\n'.join([*head, *(rows[key] for key in sorted(rows, reverse=True))]) if rows else ''


def _score(result: Mapping[str, Any], column: str) -> float | None:
    """A score; the classes of a flat detector are superclasses, or objects."""
    if result['labels'] != 'classes':
        protocol, _, metric = column.rpartition(' ')
        column = metric if protocol in PROTOCOLS[result['labels']] else ''
    return result['scores'].get(column)


def _mean(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f'{statistics.fmean(known):.2f}' if known else '-'


def render(
    experiment: Experiment, results: Results, folder: Path, *, source: Path | None = None
) -> str:
    """The tables, in Markdown; after the pilot, how many replicates there are.

    Args:
        experiment: The experiment.
        results: Its results.
        folder: Of its result files.
        source: The data set's folder, for intervals; default: none.

    Raises:
        ComparisonError: The results may not be compared, or not yet.
    """
    parts = [part for one in results.values() for part in parts_of(one)]
    check_comparable(parts, folder)
    _check_complete(experiment, results)
    intervals, flat, why = [], '', []
    if source is not None:
        evaluation = load_truth(experiment, results, source)
        if experiment.pilot:
            number, text = _by_the_rule(experiment, results, *evaluation)
            if number != experiment.replicates:
                return _not_yet(experiment, text, number)
            intervals.append(text)
        found = dict(differences(experiment, results, *evaluation))
        for measure in experiment.measures:
            others = differences(experiment, results, *evaluation, measure=measure)
            found |= {(*pair, measure): one for pair, one in others.items()}
        flat, others = compare_flat(experiment, results, *evaluation)
        found |= others
        counts = {key: len(paired(results, *key[:2])) for key in found}
        intervals.append(interval_table(found, experiment.pair, counts))
        truths, taxonomy = evaluation
        why = [
            error_table(experiment, results, truths, taxonomy),
            sibling_table(experiment, results, taxonomy),
        ]
    elif experiment.pilot:
        raise ComparisonError(
            f'{experiment.name}: the pilot decides how many replicates there are, and its variances '
            "need the annotations; name the data set's folder: --data"
        )
    first = next(iter(results.values()))
    dropped = max(part['detections']['dropped'] for part in parts)
    return '\n\n'.join(
        [
            replicate_table(experiment, results),
            variant_table(experiment, results),
            *filter(None, [coarse_table(results), added_table(experiment, results), flat]),
            *intervals,
            *filter(None, why),
            f'Commit {first["commit"][:12]}, {first["device"]}: {_machines(parts)}, one thread. '
            f'Scores are those of the packed detections (at most {dropped} dropped in a run).',
        ]
    )


def _machines(parts: Sequence[Mapping[str, Any]]) -> str:
    """What the runs were made on; with several machines, the number of runs on each."""
    counts = Counter(part['hardware'] for part in parts)
    if len(counts) == 1:
        return next(iter(counts))
    return '; '.join(
        f'{name} ({number} run{"s" * (number > 1)})' for name, number in counts.most_common()
    )


def _by_the_rule(experiment: Experiment, results: Results, *evaluation: Any) -> tuple[int, str]:
    """The number of replicates that the pilot gives, and why; later ones have no say in it."""
    pilot = {
        key: result
        for key, result in results.items()
        if key[0] in experiment.pair and key[1] <= experiment.pilot
    }
    one = differences(experiment, pilot, *evaluation)[experiment.pair]
    plan = plan_replicates(one, experiment.pilot)
    return plan.num_runs, plan_text(one, experiment.pilot, plan)


def _check_complete(experiment: Experiment, results: Results) -> None:
    """Refuse a look before all replicates of the primary pair are there."""
    done = len(paired(results, *experiment.pair))
    if done < experiment.replicates:
        raise ComparisonError(
            f'{experiment.name}: {done} of {experiment.replicates} replicates of '
            f'{" and ".join(experiment.pair)} are done; there is no look before all are'
        )


def _not_yet(experiment: Experiment, text: str, number: int) -> str:
    """What comes after the pilot, in words.

    Raises:
        ComparisonError: Another number of replicates than the pilot's was run.
    """
    if experiment.replicates > experiment.pilot:
        raise ComparisonError(
            f'{experiment.name} has `replicates: {experiment.replicates}`, but the rule gives '
            f'{number}; there is no look. {text}'
        )
    return (
        f'{text} Write `replicates: {number}` for {experiment.name} into the file of runs and commit '
        f'it before replicate {experiment.pilot + 1}; no difference is shown before all are done.'
    )


def state_table(experiment: Experiment, done: Mapping[Run, Mapping[str, Any]]) -> str:
    """How many runs of each variant are done, and their hours; no scores."""
    planned = Counter(run.variant for run in experiment.runs())
    rows = []
    for name, total in planned.items():
        minutes = [result['minutes'] for run, result in done.items() if run.variant == name]
        rows.append(f'| {name} | {len(minutes)} of {total} | {sum(minutes) / 60:.1f} |')
    return '\n'.join(['| variant | runs done | process-hours |', '|---|---|---|', *rows])


def preface(experiment: Experiment) -> str:
    """The question, and what else has to be said wherever results are shown."""
    texts = [f'**{experiment.question}**', experiment.caveat]
    return '\n\n'.join(_wrapped(text) for text in texts if text)


def _wrapped(text: str) -> str:
    return textwrap.fill(' '.join(text.split()), 104, break_on_hyphens=False)


def section(
    experiment: Experiment,
    done: Mapping[Run, Mapping[str, Any]],
    results: Path,
    *,
    source: Path | None = None,
) -> str:
    """Question, rule, state of the runs and, once all replicates are there, the tables.

    Args:
        experiment: The experiment.
        done: Its results.
        results: Folder of all results.
        source: The data set's folder, for intervals.
    """
    joined = by_replicate(experiment, done)
    number = len(paired(joined, *experiment.pair))
    if stopped := stopped_by_gate(experiment, results):
        told = f'{stopped}.'
    elif number < experiment.replicates:
        told = (
            f'{number} of {experiment.replicates} replicates of {" and ".join(experiment.pair)} are '
            'done; no difference is shown before all are.'
        )
    else:
        told = render(experiment, joined, results / experiment.name, source=source)
    return '\n\n'.join(
        [preface(experiment), _wrapped(experiment.rule), state_table(experiment, done), told]
    )


def write_section(path: Path, name: str, content: str) -> None:
    """Replace what is between the two markers of a section.

    Raises:
        ComparisonError: The file does not have them.
    """
    begin, end = (f'<!-- {word} {name} -->' for word in ('begin', 'end'))
    pattern = re.compile(f'(?<={re.escape(begin)}\n).*?(?={re.escape(end)}$)', re.S | re.M)
    text, found = pattern.subn(lambda _: f'{content}\n', path.read_text('utf-8'))
    if found != 1:
        raise ComparisonError(f'{path}: needs one section between {begin} and {end}')
    write_whole(path, text.encode())


def draw(
    kind: str,
    path: Path,
    experiment: Experiment,
    done: Mapping[Run, Mapping[str, Any]],
    source: Path | None,
    labels: Mapping[str, str],
) -> None:
    """Write a figure: `scores` of the variants, with these labels, or `gains` of the classes.

    Raises:
        ComparisonError: There is no look yet, no data set, or nothing to draw.
    """
    results = by_replicate(experiment, done)
    _check_complete(experiment, results)
    if path.suffix not in ('.png', '.svg'):
        raise ComparisonError(f'{path}: the name of a figure ends in .png or .svg')
    if kind == 'scores':
        drawn = style.render(score_figure, experiment, results, labels)
    else:
        if source is None:
            raise ComparisonError(f"{path}: gains need the data set's folder: --data")
        _, taxonomy = load_truth(experiment, results, source)
        metric, gains = class_gains(experiment, results, taxonomy)
        if not gains:
            raise ComparisonError(f'{experiment.name}: no results with training boxes by class')
        drawn = style.render(gain_figure, experiment, metric, gains, taxonomy)
    write_whole(path, drawn[path.suffix[1:]])


def _label(text: str) -> tuple[str, str]:
    name, sign, label = text.partition('=')
    if not sign:
        raise argparse.ArgumentTypeError(f'{text!r} is not VARIANT=TEXT')
    return name, label


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument('experiment', nargs='?', default='rbc12', help='name in the file of runs')
    parser.add_argument('--runs', type=Path, default=RUNS, help='file of runs')
    parser.add_argument('--results', type=Path, default=RESULTS, help='folder of results')
    parser.add_argument('--data', type=Path, help="the data set's folder, for intervals")
    parser.add_argument('--write', type=Path, metavar='FILE', help='Markdown file with a section')
    for kind, what in (('scores', 'of the variants'), ('gains', 'of the classes')):
        help = f'draw the {kind} {what} into this PNG or SVG file, too'
        parser.add_argument(f'--{kind}', type=Path, metavar='FILE', help=help)
    parser.add_argument(
        '--label',
        action='append',
        type=_label,
        default=[],
        metavar='VARIANT=TEXT',
        help='what --scores calls a variant',
    )
    parser.add_argument(
        '--equal',
        type=Path,
        metavar='FILE',
        help='instead: record that this result of other sources equals the one of the same run',
    )
    args = parser.parse_args()
    experiment = load_experiment(args.experiment, args.runs)
    done = read_results(experiment, args.results)
    folder = args.results / experiment.name
    labels = {experiment.variant(name).name: text for name, text in args.label}
    for kind in ('scores', 'gains'):
        if path := getattr(args, kind):
            draw(kind, path, experiment, done, args.data, labels)
    if args.equal:
        other = load_json(args.equal)
        place = other['variant'], other['replicate'], other.get('fold', 0)
        run = Run(experiment.name, *place)
        if run not in done:
            raise ComparisonError(f'{folder}: no result of {run.name}')
        print(write_equality(done[run], other, folder))
    elif args.write:
        content = section(experiment, done, args.results, source=args.data)
        write_section(args.write, experiment.name, content)
    elif not done:
        raise ComparisonError(f'{folder}: no results')
    else:
        print(f'{preface(experiment)}\n')
        print(render(experiment, by_replicate(experiment, done), folder, source=args.data))


if __name__ == '__main__':
    run_tool(main)
