"""Tables of an experiment from its result files: python -m benchmarks.experiments.report NAME

Prints Markdown: the primary question replicate by replicate, and the means of all variants.
Results that may not be compared are refused (`comparable`), and so is a look at the differences
before all replicates are there. After the pilot it says how many these are, and nothing else. With
--data come intervals, and flat controls (`flat`). With --write the section of a Markdown file
between `<!-- begin NAME -->` and `<!-- end NAME -->` is replaced by the short tables (`zoo`), and
README.md next to the results by all; before all replicates are there both tell how far the runs are.
--scores and --gains draw figures.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common.arguments import make_parser
from mmdet_multigrain.launch import run_tool
from mmdet_multigrain.utils.files import load_json, write_whole
from mmdet_multigrain.visualization import style

from .added import added_table
from .choice import choice_table
from .comparable import ComparisonError, check_comparable, write_equality
from .figure import gain_figure, score_figure
from .flat import compare_flat
from .folds import by_replicate, parts_of
from .intervals import differences, interval_table, load_truth, plan_replicates, plan_text
from .plan import (
    RESULTS,
    RUNS,
    Experiment,
    Results,
    Run,
    load_experiment,
    paired,
    read_results,
    stopped_by_gate,
)
from .why import class_gains, error_table, sibling_table
from .zoo import model_table, pair_table

FEWEST = 4  # classes with the fewest fine boxes that a table names
GENERATED = 'Written by `python -m benchmarks.experiments.report` from the files of this folder.'
ALL = 'README.md'  # page with all tables, in the folder of the results


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


@dataclass(frozen=True)
class Report:
    """An experiment in Markdown."""

    short: str  # for a page of several experiments
    full: str  # all tables


def render(
    experiment: Experiment,
    results: Results,
    folder: Path,
    *,
    source: Path | None = None,
    page: Path | None = None,
) -> Report:
    """The tables; after the pilot, how many replicates there are.

    Args:
        experiment: The experiment.
        results: Its results.
        folder: Of its result files.
        source: The data set's folder, for intervals; default: none.
        page: The file that the short tables are for; default: that of all tables.

    Raises:
        ComparisonError: The results may not be compared, or not yet.
    """
    parts = [part for one in results.values() for part in parts_of(one)]
    check_comparable(parts, folder)
    _check_complete(experiment, results)
    intervals, flat, why, pairs = [], '', [], ''
    if source is not None:
        evaluation = load_truth(experiment, results, source)
        if experiment.pilot:
            number, text = _by_the_rule(experiment, results, *evaluation)
            if number != experiment.replicates:
                text = _not_yet(experiment, text, number)
                return Report(text, text)
            intervals.append(text)
        found = dict(differences(experiment, results, *evaluation))
        for measure in experiment.measures:
            others = differences(experiment, results, *evaluation, measure=measure)
            found |= {(*pair, measure): one for pair, one in others.items()}
        flat, others = compare_flat(experiment, results, *evaluation)
        found |= others
        counts = {key: len(paired(results, *key[:2])) for key in found}
        intervals.append(interval_table(found, experiment.pair, counts))
        pairs = pair_table(found, experiment.primary['measure'], counts)
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
    machine = _wrapped(
        f'{_commits(parts)}, {first["device"]}: {_machines(parts)}, one thread. '
        f'Scores are those of the packed detections (at most {dropped} dropped in a run).'
    )
    all_tables = folder / ALL
    own = [added_table(experiment, results), choice_table(experiment, results)]
    extra = [coarse_table(results), *own, flat]
    full = [
        replicate_table(experiment, results),
        model_table(experiment, results, all_tables),
        *filter(None, [*extra, *intervals, *why]),
        machine,
    ]
    short = [
        model_table(experiment, results, page or all_tables),
        *filter(None, [*own, pairs, _not_run(experiment, results)]),
        machine,
    ]
    return Report('\n\n'.join(short), '\n\n'.join(full))


def _not_run(experiment: Experiment, results: Results) -> str:
    """The variants without a result, in words; empty if there is none."""
    have = {name for name, _ in results}
    names = [one.name for one in experiment.variants if one.name not in have]
    return _wrapped(f'Planned, not run: {", ".join(names)}.') if names else ''


def _commits(parts: Sequence[Mapping[str, Any]]) -> str:
    """What the runs were made of; of several commits, the one with the most runs first."""
    counts = Counter(part['commit'][:12] for part in parts)
    names = ', '.join(name for name, _ in counts.most_common())
    return f'Commit{"s" * (len(counts) > 1)} {names}'


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
        if key[0] in experiment.pair and key[1] < experiment.first + experiment.pilot
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
        f'it before replicate {experiment.first + experiment.pilot}; no difference is shown before '
        'all are done.'
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
    page: Path | None = None,
) -> Report:
    """Question, rule, state of the runs and, once all replicates are there, the tables.

    Args:
        experiment: The experiment.
        done: Its results.
        results: Folder of all results.
        source: The data set's folder, for intervals.
        page: The file that the short section is for; default: that of all tables.
    """
    joined = by_replicate(experiment, done)
    number = len(paired(joined, *experiment.pair))
    folder = results / experiment.name
    start = [preface(experiment)]
    if stopped := stopped_by_gate(experiment, results):
        told = Report(f'{stopped}.', f'{stopped}.')
    elif number < experiment.replicates:
        text = (
            f'{number} of {experiment.replicates} replicates of {" and ".join(experiment.pair)} are '
            'done; no difference is shown before all are.'
        )
        told = Report(_wrapped(f'{len(done)} of {len(experiment.runs())} runs, {text}'), text)
    else:
        told = render(experiment, joined, folder, source=source, page=page)
    command = (
        f'Everything else (the rule, each replicate, all comparisons, errors, classes): '
        f'[{experiment.name}]({os.path.relpath(folder, (page or folder / ALL).parent)}).'
    )
    full = [*start, _wrapped(experiment.rule), state_table(experiment, done), told.full]
    short = [*start, told.short, *([_wrapped(command)] if done else [])]
    return Report('\n\n'.join(short), '\n\n'.join(full))


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
) -> bytes:
    """A figure for this file: `scores` of the variants, with these labels, or `gains` of the classes.

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
    return drawn[path.suffix[1:]]


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
    parser.add_argument(
        '--write', type=Path, metavar='FILE', help='Markdown file with a section; needs --data'
    )
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
    if args.equal:
        other = load_json(args.equal)
        place = other['variant'], other['replicate'], other.get('fold', 0)
        run = Run(experiment.name, *place)
        if run not in done:
            raise ComparisonError(f'{folder}: no result of {run.name}')
        print(write_equality(done[run], other, folder))
        return
    figures = {  # drawn before anything is written
        path: draw(kind, path, experiment, done, args.data, labels)
        for kind in ('scores', 'gains')
        if (path := getattr(args, kind))
    }
    if args.write:
        if args.data is None and done:
            raise ComparisonError(
                f"{args.write}: a section has intervals, which need the data set's folder: --data"
            )
        report = section(experiment, done, args.results, source=args.data, page=args.write)
        write_section(args.write, experiment.name, report.short)
        if done:
            head = f'# {experiment.name}\n\n{GENERATED}\n\n'
            write_whole(folder / ALL, f'{head}{report.full}\n'.encode())
    elif not done:
        raise ComparisonError(f'{folder}: no results')
    else:
        print(f'{preface(experiment)}\n')
        print(render(experiment, by_replicate(experiment, done), folder, source=args.data).full)
    for path, content in figures.items():
        write_whole(path, content)


if __name__ == '__main__':
    run_tool(main)
