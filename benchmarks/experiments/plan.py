"""The file of runs: experiments with their data, recipe and variants, and what is left of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.files import load_json

RUNS = Path(__file__).with_name('runs.yaml')
RESULTS = Path('docs/benchmarks/experiments')
# By variant and replicate.
Results = Mapping[tuple[str, int], Mapping[str, Any]]
LABELS = ('classes', 'superclasses', 'object')
GROUPS = ('given', 'random', 'one')


@dataclass(frozen=True)
class Variant:
    """What is trained.

    Attributes:
        name: Of the variant.
        config: Config file, relative to the repository.
        options: Its own --cfg-options.
        labels: Labels of boxes: `classes`, `superclasses` (a flat detector of the groups) or
            `object` (one class).
        groups: `given` by the data, `random` (same sizes, another draw for each replicate) or
            `one` group of all classes.
    """

    name: str
    config: str
    options: Mapping[str, Any] = field(default_factory=dict)
    labels: str = 'classes'
    groups: str = 'given'

    def __post_init__(self) -> None:
        if self.labels not in LABELS or self.groups not in GROUPS:
            raise ConfigError(
                f'variant {self.name}: labels is one of {", ".join(LABELS)}, groups one of '
                f'{", ".join(GROUPS)}'
            )


@dataclass(frozen=True)
class Run:
    """One training with its test: a variant on a replicate.

    Attributes:
        experiment: Name of the experiment.
        variant: Name of the variant.
        replicate: Number from 1; seed of the data's draw and of the training.
    """

    experiment: str
    variant: str
    replicate: int

    @property
    def name(self) -> str:
        """Of its result file."""
        return f'{self.variant}-{self.replicate:02d}'

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
        primary: `variant`, `reference` and `measure` (a key of a result's scores) of the question.
        class_sets: Named sets of classes.
        replicates: Number of replicates.
        minutes: Expected length of a run, one thread.
        data: `images` (folder of the images within the data set) and `draw` (script in the data
            set, called with a folder and a seed); without a script, train.json and val.json as
            they are.
        packing: Detections kept of each class: `per_box` times its boxes in the evaluation set and
            `at_least` so many; the rest goes to `packing.pack`.
        options: --cfg-options of all variants: the recipe.
        variants: In order of their runs; the two of the primary question come first.
    """

    name: str
    question: str
    rule: str
    primary: Mapping[str, str]
    class_sets: Mapping[str, Sequence[str]]
    replicates: int
    minutes: float
    data: Mapping[str, str]
    packing: Mapping[str, Any]
    options: Mapping[str, Any]
    variants: tuple[Variant, ...]

    def __post_init__(self) -> None:
        for key in ('variant', 'reference'):
            self.variant(self.primary[key])

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
        return dict(config=variant.config, options={**self.options, **variant.options})

    def runs(self) -> list[Run]:
        """All runs in order: the primary pair by replicate, then variant by variant."""
        pair = [self.primary['variant'], self.primary['reference']]
        rest = [variant.name for variant in self.variants if variant.name not in pair]
        replicates = range(1, self.replicates + 1)
        order = [(name, number) for number in replicates for name in pair]
        order += [(name, number) for name in rest for number in replicates]
        return [Run(self.name, name, number) for name, number in order]


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


def read_results(experiment: Experiment, results: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """The results of the planned runs that are done, by variant and replicate, in order."""
    paths = {run: result_path(run, results) for run in experiment.runs()}
    return {
        (run.variant, run.replicate): load_json(path)
        for run, path in paths.items()
        if path.exists()
    }


def paired(results: Results, variant: str, reference: str) -> list[int]:
    """Replicates that both variants have, ascending."""
    have = [{number for known, number in results if known == name} for name in (variant, reference)]
    return sorted(have[0] & have[1])


def ledger(experiment: Experiment, done: Results, *, jobs: int, begun: float = 0.0) -> str:
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
        own = [result['minutes'] for (variant, _), result in done.items() if variant == name]
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
            f'{"variant":<24}{"done":>11}{"each":>11}{"spent":>10}{"left":>10}',
            *rows,
            f'{len(experiment.runs())} runs; process-hours: {spent:.1f} spent, {left:.1f} left '
            f'({left / jobs:.1f} h with {jobs} at a time)',
        ]
    )
