"""Suggested groups with what speaks for and against them: numbers for a screen or a file's head."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmdet_multigrain.evaluation.functional.grouping import Trial, best, cross_judge, judge
from mmdet_multigrain.evaluation.functional.imbalance import by_rarity, rarest_labels
from mmdet_multigrain.evaluation.functional.summary import THIRDS
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.suggest import (
    MAX_SHARE,
    MIN_SIZE,
    GroupTree,
    adjusted_rand,
    alike_by_confusions,
    alike_by_vectors,
)
from mmdet_multigrain.utils.errors import ReportError
from mmdet_multigrain.utils.messages import show_list
from mmdet_multigrain.utils.table import Column, Table

from .sources import Confusions, Vectors


@dataclass(frozen=True, eq=False)
class Suggestion:
    """Groups for classes."""

    taxonomy: Taxonomy  # the classes in the suggested groups
    own: Taxonomy  # the classes in the user's own groups
    tree: GroupTree  # what the groups are cuts of
    # (K, K) boxes of a class (row) taken for another (column); None if unknown
    counts: np.ndarray | None
    trials: Sequence[Trial]  # by number of groups, groups on photos that they were not found on
    given: Trial | None  # the own groups on all of these photos; None without
    train_boxes: Sequence[int] | None  # of each class; None if unknown

    @property
    def agreement(self) -> float:
        """Adjusted Rand index of the suggested and the user's own groups."""
        return adjusted_rand(*(np.array(one.group_index(0)) for one in (self.taxonomy, self.own)))

    def lines(self) -> list[str]:
        """Tables and sentences, line by line."""
        lines = []
        if self.trials or self.given:
            lines += ['share of confusions inside groups, on photos that these were not found on:']
            lines += self.trial_table().text().splitlines()
        if len(self.trials) > 1:
            chosen, p = best(self.trials)
            lines.append(
                f'{chosen.num_groups} groups are the farthest above random ones of '
                f'{len(self.trials)} numbers tried; p = {p:.3f} for the best of so many'
            )
        if not self.own.is_ungrouped:
            lines.append(
                f'agreement with the groups of {self.own.name}: adjusted Rand index '
                f'{self.agreement:.2f} (1: the same groups, 0: as much as random ones)'
            )
        paths = zip(self.taxonomy.classes, self.taxonomy.paths, strict=True)
        if alone := [name for name, path in paths if not path]:
            lines.append(
                f'without a group, as nothing tells what they are like: {show_list(alone)}'
            )
        if self.train_boxes is not None:
            lines += self.support_table().text().splitlines()
            if lost := self.without_head():
                lines.append(f'rare classes whose group has no frequent class: {show_list(lost)}')
        return lines

    def without_head(self) -> list[str]:
        """Rare classes (as in evaluation) whose group has none of the frequent third."""
        frequent = {*np.array_split(by_rarity(self.train_boxes), len(THIRDS))[-1].tolist()}
        index = self.taxonomy.group_index(0)
        helped = {index[label] for label in frequent}
        rare = rarest_labels(self.train_boxes)
        return [self.taxonomy.classes[label] for label in rare if index[label] not in helped]

    def support_table(self) -> Table:
        """For each rare class, the training boxes that its siblings bring."""
        columns = [
            Column('class', 'rare class', left=True),
            Column('boxes', form=','),
            Column('group', left=True),
            Column('siblings', 'boxes of siblings', ','),
            Column('largest', 'most of them', left=True),
        ]
        columns += [] if self.own.is_ungrouped else [Column('own', f'in {self.own.name}', ',')]
        rows = []
        for label in rarest_labels(self.train_boxes):
            siblings = self._siblings(self.taxonomy, label)
            most = max(siblings, key=lambda one: self.train_boxes[one], default=None)
            row = [
                self.taxonomy.classes[label],
                self.train_boxes[label],
                self.taxonomy.superclass_of(label) if siblings else None,
                sum(self.train_boxes[one] for one in siblings),
                None if most is None else self.taxonomy.classes[most],
                sum(self.train_boxes[one] for one in self._siblings(self.own, label)),
            ]
            rows.append(row[: len(columns)])
        return Table(columns, rows)

    def trial_table(self) -> Table:
        """Shares of confusions inside groups; `*` marks the number of the suggested ones."""
        columns = [
            Column('groups', left=True),
            Column('chosen', ''),
            Column('share', 'inside', '.1%'),
            Column('mean', 'random groups', '.1%'),
            Column('std', 'sd', '.1%'),
            Column('p', form='.3f'),
            Column('frequency', 'frequency alone', '.1%'),
            Column('p_frequency', 'p', '.3f'),
        ]
        chosen = sum(size > 1 for size in Counter(self.taxonomy.group_index(0)).values())
        named = [(str(one.num_groups), one.num_groups == chosen, one) for one in self.trials]
        named += [(self.own.name, False, self.given)] if self.given is not None else []
        rows = []
        for name, mark, one in named:
            random = one.random.mean(), one.random.std(ddof=1), one.p
            frequency = one.by_frequency.mean(), one.p_by_frequency
            rows.append((name, mark, one.share, *random, *frequency))
        return Table(columns, rows)

    def _siblings(self, taxonomy: Taxonomy, label: int) -> list[int]:
        index = taxonomy.group_index(0)
        return [one for one, group in enumerate(index) if group == index[label] and one != label]


def suggest(
    found: Confusions | None,
    vectors: Vectors | None = None,
    *,
    own: Taxonomy | None = None,
    num_groups: int | None = None,
) -> Suggestion:
    """Groups of classes that are alike, judged on photos that they were not found on.

    Args:
        found: Confusions that judge the groups, and that they are found in without `vectors`.
        vectors: What they are found in, if not in confusions.
        own: The user's groups. Default: those of the source.
        num_groups: How many groups of several classes. Default: the number that is the farthest
            above random groups.

    Raises:
        ReportError: The classes make no such groups, or nothing tells how many are best.
        TaxonomyError: The three do not have the same classes.
    """
    classes = (vectors or found).taxonomy
    own = classes if own is None else _aligned(own, classes)
    trials, counts, train_boxes, given = [], None, None, None
    if found is not None:
        labels = found.taxonomy.match_categories(classes.classes, 'the groups to judge')
        halves = [half[np.ix_(labels, labels)] for half in found.halves]
        counts = sum(halves)
        if found.train_boxes is not None:
            train_boxes = [found.train_boxes[label] for label in labels]
        if not (own.is_ungrouped or own.has_one_group):
            (given,) = judge({own.num_groups(0): [np.array(own.group_index(0))]}, [counts])
    if vectors is None:
        tree = GroupTree(alike_by_confusions(counts))
        trials = cross_judge(*halves)
    else:
        tree = GroupTree(alike_by_vectors(vectors.rows))
        if found is not None:
            trials = judge({n: [index] for n, index in tree.groupings.items()}, [counts])
    trials = [trial for trial in trials if trial.num_groups in tree.groupings]
    number = _number(classes, tree, trials, num_groups)
    taxonomy = _grouped(classes, tree.groupings[number].tolist())
    return Suggestion(taxonomy, own, tree, counts, trials, given, train_boxes)


def _aligned(own: Taxonomy, classes: Taxonomy) -> Taxonomy:
    """The coarsest groups of a taxonomy, with its classes in the order and by the names of another."""
    labels = own.match_categories(classes.classes, classes.name)
    paths = [own.paths[label][:1] for label in labels]
    return Taxonomy(own.name, classes.classes, paths, allow_one_group=True)


def _number(
    classes: Taxonomy, tree: GroupTree, trials: Sequence[Trial], num_groups: int | None
) -> int:
    possible = tree.groupings
    if not possible:
        raise ReportError(
            f'its {classes.num_classes} classes, {len(tree.known)} of which are like others, make no '
            f'two groups of at least {MIN_SIZE} and at most {MAX_SHARE:.0%} of them; write groups by hand'
        )
    if num_groups is None and not trials:
        raise ReportError(
            'nothing tells how many groups are best (without --judge, or too few confusions); give '
            'their number (--groups)'
        )
    number = best(trials)[0].num_groups if num_groups is None else num_groups
    if number not in possible:
        raise ReportError(
            f'has no cut into {number} groups (--groups) of at least {MIN_SIZE} classes and at most '
            f'{MAX_SHARE:.0%} of them; it has for {", ".join(map(str, possible))}'
        )
    return number


def _grouped(classes: Taxonomy, index: list[int]) -> Taxonomy:
    """The classes in groups that are named after their first class; one alone has no group."""
    sizes = Counter(index)
    paths = [
        (f'like {classes.classes[index.index(group)]}',) if sizes[group] > 1 else ()
        for group in index
    ]
    number = sum(size > 1 for size in sizes.values())
    aliases = {name: classes.aliases.get(name, ()) for name in classes.classes}
    return Taxonomy(f'{classes.name} ({number} groups)', classes.classes, paths, aliases=aliases)
