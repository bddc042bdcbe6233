"""The file of runs: experiments with their data, recipe and variants, and what is left of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from mmdet_multigrain.speed import option_names
from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.files import load_json

RUNS = Path(__file__).with_name('runs.yaml')
RESULTS = Path('docs/benchmarks/experiments')
# By variant and replicate; of all folds together.
Results = Mapping[tuple[str, int], Mapping[str, Any]]
Pair = tuple[str, str]  # a variant, and what it is compared with
PILOT = 6  # replicates that decide on the number of them
LABELS = ('classes', 'superclasses', 'object')
GROUPS = ('given', 'random', 'one')  # or a YAML file next to the file of runs
HELD_OUT_AS = BACKGROUND, SUPERCLASS_ONLY = 'background', 'superclass'
# Protocols with measures of their own; without one, a measure is of the classes.
SUPERCLASS, GROUP, OBJECT = 'superclass', 'group', 'object'


@dataclass(frozen=True)
class Variant:
    """What is trained.

    Attributes:
        name: Of the variant.
        config: Config file, relative to the repository.
        options: Its own --cfg-options.
        labels: Labels of boxes: `classes`, `superclasses` (a flat detector of the groups) or
            `object` (one class).
        groups: `given` by the data, `random` (same sizes, another draw for each replicate), `one`
            group of all classes, or the name of a YAML file in this folder.
        coarse: Share of the training boxes of which only the superclass is known (`coarse`).
        drop_coarse: Whether these boxes are removed, so that their objects are background.
        held_out: Class without boxes and category in training (`added`).
        held_out_as: What its objects are before it is added: `background`, or `superclass`: they have
            boxes of which only the superclass is known.
        shots: Boxes from which that class is added, to the detector `base`; a replicate is another
            draw of them.
        base: A variant that differs in nothing else, with `shots: 0`.
        replicates: Its number of replicates; default: the experiment's.
    """

    name: str
    config: str
    options: Mapping[str, Any] = field(default_factory=dict)
    labels: str = 'classes'
    groups: str = 'given'
    coarse: float = 0.0
    drop_coarse: bool = False
    held_out: str = ''
    held_out_as: str = BACKGROUND
    shots: int = 0
    base: str = ''
    replicates: int | None = None

    def __post_init__(self) -> None:
        if self.labels not in LABELS or not (
            self.groups in GROUPS or self.groups.endswith('.yaml')
        ):
            raise ConfigError(
                f'variant {self.name}: labels is one of {", ".join(LABELS)}, groups one of '
                f'{", ".join(GROUPS)} or a YAML file'
            )
        if bool(self.shots) != bool(self.base) or (self.shots and not self.held_out):
            raise ConfigError(
                f'variant {self.name}: shots needs held_out and base, base needs shots'
            )
        if self.held_out_as not in HELD_OUT_AS or (self.superclass_known and not self.held_out):
            raise ConfigError(
                f'variant {self.name}: held_out_as is one of {", ".join(HELD_OUT_AS)}; it needs held_out'
            )
        if not 0 <= self.coarse < 1 or (self.drop_coarse and not self.coarse):
            raise ConfigError(
                f'variant {self.name}: coarse is a share from 0 to below 1; only with one above 0 is '
                'there something to drop'
            )
        plain = (self.labels, self.groups) == ('classes', 'given')
        if (self.coarse or self.superclass_known) and not plain:
            raise ConfigError(
                f'variant {self.name}: coarse boxes have labels: classes and groups: given'
            )

    @property
    def superclass_known(self) -> bool:
        """Whether objects of the held-out class have boxes, whose superclass is known."""
        return self.held_out_as == SUPERCLASS_ONLY


@dataclass(frozen=True)
class Run:
    """One training with its test: a variant on a replicate, or on one fold of it.

    Attributes:
        experiment: Name of the experiment.
        variant: Name of the variant.
        replicate: Number from 1; seed of the data's draw and of the training.
        fold: Number from 1; 0 without folds.
    """

    experiment: str
    variant: str
    replicate: int
    fold: int = 0

    @property
    def name(self) -> str:
        """Of its result file."""
        fold = f'-fold{self.fold}' if self.fold else ''
        return f'{self.variant}-{self.replicate:02d}{fold}'

    @property
    def lock(self) -> str:
        """Name of its lock."""
        return f'{self.experiment}.{self.name}'


@dataclass(frozen=True)
class Experiment:
    """What is compared, and how.

    Attributes:
        name: Of the experiment.
        question: The primary question, fixed before the first run.
        rule: How many replicates there are, and why.
        primary: `variant`, `reference` and `measure` of the question: a key of a result's scores.
            That is AP or AP50 of all classes; of the superclasses, by the protocols `superclass AP`
            or `group AP`; or of a set of classes, `NAME AP`.
        class_sets: Named sets of classes.
        replicates: Number of replicates.
        first: Number of the first replicate, so that draws that took part in a choice are left out.
        minutes: Expected length of a run, one thread.
        data: `images` (folder of the images within the data set) and `draw` (script in the data
            set, called with a folder and a seed) or `folds` (a number; all photos in turn, one run
            for each fold, the same folds in all replicates); without both, train.json and val.json
            as they are. `aside`: share of the training photos that are kept for boxes of a class
            that is added later; default: all that a draw leaves out. `half`: score on every
            other photo of the evaluation set, from the first (1) or the second (2) on.
        packing: Detections kept of each class: `per_box` times its boxes in the evaluation set and
            `at_least` so many; the rest goes to `packing.pack`.
        options: --cfg-options of all variants: the recipe.
        speed: Options for faster training (docs/speed.md) of all variants.
        sweep: `variants` whose scores are tuned without training, too (`choice`), the `gammas` and
            `count_gammas` that tools/analysis_tools/sweep_scores.py tries, and the `measure` that
            decides: `NAME AP` or `NAME AP50` of a set of classes.
        variants: In order of their runs; the two of the primary question come first.
        measures: Further measures; all comparisons are made in these, too, as secondary ones.
        compare: Secondary comparisons, each a variant and what it is compared with; default: those
            of `comparisons`.
        pilot: Replicates that decide on the number of them; 0 if it was fixed beforehand.
        gate: `variant`, `measure` and `least`: score that its first run has to reach before any
            other run begins.
        after: Variants of other experiments whose runs come before these.
        caveat: What has to be said wherever results are shown.
    """

    name: str
    question: str
    rule: str
    primary: Mapping[str, str]
    class_sets: Mapping[str, Sequence[str]]
    replicates: int
    minutes: float
    data: Mapping[str, Any]
    packing: Mapping[str, Any]
    options: Mapping[str, Any]
    variants: tuple[Variant, ...]
    measures: Sequence[str] = ()
    compare: Sequence[Sequence[str]] | None = None
    speed: Sequence[str] = ()
    sweep: Mapping[str, Any] = field(default_factory=dict)
    pilot: int = PILOT
    first: int = 1
    gate: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Sequence[str]] = field(default_factory=dict)
    caveat: str = ''

    def __post_init__(self) -> None:
        for name in chain(self.pair, *(self.compare or ())):
            if self.variant(name).labels != 'classes':
                raise ConfigError(
                    f'{self.name}: {name} detects no classes, so it cannot be compared in a measure '
                    'of classes; the report shows it as a flat control'
                )
        wanted = {'variants', 'gammas', 'count_gammas', 'measure'} if self.sweep else set()
        if self.sweep.keys() != wanted:
            raise ConfigError(f'{self.name}: sweep needs {", ".join(sorted(wanted))}, and no more')
        if unknown := {*self.speed} - {*option_names()}:
            raise ConfigError(f'{self.name}: speed: no such option: {", ".join(sorted(unknown))}')
        for one in filter(lambda one: one.base, self.variants):
            if self.variant(one.base).held_out_as != one.held_out_as:
                raise ConfigError(f'{self.name}: {one.name} and {one.base} differ in held_out_as')
        for name in self.sweep.get('variants', ()):
            self.variant(name)
        if self.sweep and self.sweep['measure'].rpartition(' ')[0] not in self.class_sets:
            raise ConfigError(
                f'{self.name}: sweep: measure {self.sweep["measure"]!r}: no such set of classes'
            )
        if self.gate:
            self.variant(self.gate['variant'])
        for measure in self.all_measures:
            chosen = measure.rpartition(' ')[0]
            if chosen not in ('', SUPERCLASS, GROUP, *self.class_sets):
                raise ConfigError(f'{self.name}: measure {measure!r}: no such set of classes')
            if chosen == GROUP and 'folds' in self.data:
                raise ConfigError(f'{self.name}: measure {measure!r} is not there with folds')
        for name in self.pair:
            if self.variant(name).replicates is not None:
                raise ConfigError(f'{self.name}: {name} has the replicates of the experiment')
        if self.replicates < self.pilot:
            raise ConfigError(
                f'{self.name} has {self.replicates} replicates, fewer than its pilot of '
                f'{self.pilot}; a number that was fixed beforehand has `pilot: 0`'
            )

    @property
    def pair(self) -> Pair:
        """Variant and reference of the primary question."""
        return self.primary['variant'], self.primary['reference']

    @property
    def all_measures(self) -> list[str]:
        """That of the primary question, and the others."""
        return [self.primary['measure'], *self.measures]

    @property
    def folds(self) -> tuple[int, ...]:
        """Numbers of the folds; (0,) without any."""
        return tuple(range(1, self.data['folds'] + 1)) if 'folds' in self.data else (0,)

    def numbers(self, variant: str) -> range:
        """Numbers of the replicates of a variant."""
        total = self.variant(variant).replicates or self.replicates
        return range(self.first, self.first + total)

    def comparisons(self) -> list[Pair]:
        """What is compared, the primary pair first.

        Unless the file names them: other groups of the same classes are controls of the primary
        variant, so it is compared with them, too. Those with other labels are flat controls (`flat`).
        """
        if self.compare is not None:
            return [self.pair, *((one, other) for one, other in self.compare)]
        variant, reference = self.pair
        others = [one for one in self.variants if one.labels == 'classes' and one.name != reference]
        pairs = [(variant, one.name) for one in others if one.groups != 'given']
        pairs += [(one.name, reference) for one in others if one.name != variant]
        return [self.pair, *pairs]

    def variant(self, name: str) -> Variant:
        """The variant of that name."""
        for variant in self.variants:
            if variant.name == name:
                return variant
        known = ', '.join(variant.name for variant in self.variants)
        raise ConfigError(f'{self.name} has no variant {name!r}; its variants are {known}')

    def recipe(self, name: str) -> dict[str, Any]:
        """Config and options of a variant, without what belongs to a replicate or a machine."""
        variant = self.variant(name)
        boxes = dict(coarse=variant.coarse, drop_coarse=variant.drop_coarse)
        added = dict(held_out=variant.held_out, shots=variant.shots, base=variant.base)
        if variant.superclass_known:  # results from before this key lack it
            added['held_out_as'] = variant.held_out_as
        return dict(
            config=variant.config,
            options={**self.options, **variant.options},
            **(dict(speed=[*self.speed]) if self.speed else {}),
            **(boxes if variant.coarse else {}),
            **(added if variant.held_out else {}),
        )

    def runs(self) -> list[Run]:
        """All runs in order: the primary pair by replicate, then variant by variant."""
        order = [
            (name, number, fold)
            for number in self.numbers(self.pair[0])
            for fold in self.folds
            for name in self.pair
        ]
        order += [
            (variant.name, number, fold)
            for variant in self.variants
            if variant.name not in self.pair
            for number in self.numbers(variant.name)
            for fold in self.folds
        ]
        return [Run(self.name, *one) for one in order]


def load_experiment(name: str, path: Path = RUNS) -> Experiment:
    """An experiment of a file of runs.

    Raises:
        ConfigError: There is no such experiment, or a key is missing or unknown.
    """
    content = yaml.safe_load(path.read_text())
    if name not in content:
        raise ConfigError(f'{path}: no experiment {name!r}; it has {", ".join(content)}')
    try:
        values = dict(content[name])
        variants = tuple(Variant(**item) for item in values.pop('variants'))
        return Experiment(name=name, variants=variants, **values)
    except (TypeError, KeyError) as error:
        raise ConfigError(f'{path}: experiment {name}: {error}') from None


def result_path(run: Run, results: Path) -> Path:
    """Where the result of a run is written."""
    return results / run.experiment / f'{run.name}.json'


def read_results(experiment: Experiment, results: Path) -> dict[Run, dict[str, Any]]:
    """The results of the planned runs that are done, in order."""
    paths = {run: result_path(run, results) for run in experiment.runs()}
    return {run: load_json(path) for run, path in paths.items() if path.exists()}


def due(experiment: Experiment, results: Path) -> list[Run]:
    """The runs that may be done: all, or that of the gate alone until it reaches its score."""
    runs = experiment.runs()
    score = _gate_score(experiment, results)
    is_open = not experiment.gate or (score is not None and score >= experiment.gate['least'])
    return runs if is_open else [_gate_run(experiment)]


def stopped_by_gate(experiment: Experiment, results: Path) -> str | None:
    """Why the experiment has ended with the run of its gate, in words; None if it has not."""
    gate, score = experiment.gate, _gate_score(experiment, results)
    if score is None or score >= gate['least']:
        return None
    return (
        f'{experiment.name} stops after {_gate_run(experiment).name}: its {gate["measure"]} is '
        f'{score:.1f}, below {gate["least"]}'
    )


def _gate_run(experiment: Experiment) -> Run:
    return next(run for run in experiment.runs() if run.variant == experiment.gate['variant'])


def _gate_score(experiment: Experiment, results: Path) -> float | None:
    """Score of the gate's run; None if there is no gate, or no result yet."""
    if not experiment.gate:
        return None
    path = result_path(_gate_run(experiment), results)
    return load_json(path)['scores'][experiment.gate['measure']] if path.exists() else None


def runs_before(experiment: Experiment, runs_file: Path, results: Path) -> list[str]:
    """Runs of other experiments that come before these and have no result (`after`)."""
    left = []
    for name, variants in experiment.after.items():
        other = load_experiment(name, runs_file)
        done = read_results(other, results)
        left += [run.lock for run in other.runs() if run.variant in variants and run not in done]
    return left


def paired(results: Results, variant: str, reference: str) -> list[int]:
    """Replicates that both variants have, ascending."""
    have = [{number for known, number in results if known == name} for name in (variant, reference)]
    return sorted(have[0] & have[1])


def ledger(
    experiment: Experiment, done: Mapping[Run, Mapping[str, Any]], *, jobs: int, begun: float = 0.0
) -> str:
    """Runs, minutes and process-hours, spent and left, as text.

    Args:
        experiment: The experiment.
        done: Its results.
        jobs: Runs at a time.
        begun: Hours spent on runs that have no result yet.
    """
    measured = [result['minutes'] for result in done.values()] or [experiment.minutes]
    rows, spent, left = [], begun, -begun
    for name, total in Counter(run.variant for run in experiment.runs()).items():
        own = [result['minutes'] for run, result in done.items() if run.variant == name]
        minutes = fmean(own or measured)
        hours = sum(own) / 60, max(total - len(own), 0) * minutes / 60
        spent, left = spent + hours[0], left + hours[1]
        rows.append(
            f'{name:<24}{len(own):>4} of {total:<4}{minutes:>6.1f} min'
            f'{hours[0]:>8.1f} h{hours[1]:>8.1f} h'
        )
    left = max(left, 0.0)
    return '\n'.join(
        [
            f'{experiment.name}: {" ".join(experiment.question.split())}',
            *filter(None, [' '.join(experiment.caveat.split())]),
            f'{"variant":<24}{"done":>11}{"each":>11}{"spent":>10}{"left":>10}',
            *rows,
            f'{len(experiment.runs())} runs; process-hours: {spent:.1f} spent, {left:.1f} left '
            f'({left / jobs:.1f} h with {jobs} at a time)',
        ]
    )
