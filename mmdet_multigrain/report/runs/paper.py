"""The figures that the paper prints (arXiv 2101.06770, tables 1 to 4), and counts beside them.

The figures stand in `data/paper.yaml`. Scores of ours beside the paper's do not belong here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

import yaml

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ReportError

from ..table import Column, Table

DATASETS = ('df2', 'oiv4c')


@dataclass(frozen=True)
class PaperClass:
    """A column of table 3 or 4.

    Attributes:
        name: The class's name in the taxonomy that the paper's data set has here.
        train_boxes: "Num".
        ap: AP in percent by variant.
    """

    name: str
    train_boxes: int
    ap: Mapping[str, float]


@dataclass(frozen=True)
class Paper:
    """What the paper prints of one data set.

    Attributes:
        dataset: `df2` or `oiv4c`.
        taxonomy: The built-in taxonomy of the data set.
        train_boxes: Boxes of all classes.
        val_boxes: The same of the validation set.
        overall: COCO's numbers (AP, AP50, AP75, APs, APm, APl) in percent, by variant.
        classes: Those that it lists, rarest first.
    """

    dataset: str
    taxonomy: Taxonomy
    train_boxes: int
    val_boxes: int
    overall: Mapping[str, Mapping[str, float]]
    classes: tuple[PaperClass, ...]


def load_paper(dataset: str) -> Paper:
    """The paper's figures for `df2` or `oiv4c`."""
    text = (resources.files(__package__) / 'data' / 'paper.yaml').read_text(encoding='utf-8')
    content = yaml.safe_load(text)
    variants, figures = content['variants'], content[dataset]
    taxonomy = Taxonomy.load(figures['taxonomy'])
    return Paper(
        dataset=dataset,
        taxonomy=taxonomy,
        train_boxes=figures['train_boxes'],
        val_boxes=figures['val_boxes'],
        overall=figures['overall'],
        classes=tuple(
            PaperClass(
                taxonomy.classes[taxonomy.label_of(name)],
                train_boxes,
                dict(zip(variants, aps, strict=True)),
            )
            for name, (train_boxes, *aps) in figures['classes'].items()
        ),
    )


@dataclass(frozen=True)
class ClassCount:
    """One class's boxes beside the paper's; None where a side does not have the class."""

    name: str
    boxes: int | None
    paper: int | None

    @property
    def ratio(self) -> float | None:
        """Ours by the paper's."""
        return None if self.boxes is None or self.paper is None else self.boxes / self.paper


@dataclass(frozen=True)
class SumCheck:
    """One of the paper's sums beside ours."""

    what: str
    boxes: int
    paper: int

    def __str__(self) -> str:
        difference = self.boxes - self.paper
        verdict = f'differs by {difference:+,}' if difference else 'agrees'
        return f'{self.what}: {self.boxes:,}, the paper {self.paper:,}: {verdict}'


@dataclass(frozen=True)
class CountComparison:
    """Box counts of a training set beside the paper's.

    Attributes:
        dataset: `df2` or `oiv4c`.
        classes: Those that the paper lists (rarest first), then the data set's others.
        sums: Of all classes, and of those that the paper lists where these are fewer; with
            crowds, too, where there are any.
        others: Classes of the file that are none of the paper's data set; in no sum.
    """

    dataset: str
    classes: tuple[ClassCount, ...]
    sums: tuple[SumCheck, ...]
    others: tuple[str, ...]

    def table(self) -> Table:
        """One row for each class."""
        return Table(
            (
                Column('class', 'class', left=True),
                Column('boxes', 'boxes', ',d'),
                Column('paper', 'paper', ',d'),
                Column('ratio', 'ratio', '.3f'),
            ),
            tuple((row.name, row.boxes, row.paper, row.ratio) for row in self.classes),
        )


def compare_counts(
    paper: Paper, taxonomy: Taxonomy, boxes: Sequence[int], crowds: Sequence[int], *, source: object
) -> CountComparison:
    """Set box counts beside the paper's; classes are matched by name and alias on both sides.

    Args:
        paper: Its figures.
        taxonomy: K classes of the file.
        boxes: (K,) boxes of each class, crowds not counted.
        crowds: (K,) crowd boxes; whether the paper counts them it does not say.
        source: The file, for messages.

    Raises:
        ReportError: File and paper have no class in common.
    """
    label_of = {name: _find(name, paper.taxonomy, taxonomy) for name in paper.taxonomy.classes}
    label_of = {name: label for name, label in label_of.items() if label is not None}
    if not label_of:
        raise ReportError(
            f'{source}: none of its classes is one of {paper.dataset}, which the '
            f'paper counts; name the file of that data set'
        )
    printed = {row.name: row.train_boxes for row in paper.classes}
    rows = [
        ClassCount(name, boxes[label_of[name]] if name in label_of else None, printed.get(name))
        for name in (*printed, *(name for name in label_of if name not in printed))
    ]
    sums = []
    for title, counts in (
        ('', boxes),
        (' with crowds', [one + other for one, other in zip(boxes, crowds, strict=True)]),
    ):
        if title and not any(crowds):
            break
        sums.append(
            SumCheck(
                f'all {len(paper.taxonomy.classes)} classes{title}',
                sum(counts[label] for label in label_of.values()),
                paper.train_boxes,
            )
        )
        if len(printed) < paper.taxonomy.num_classes:
            sums.append(
                SumCheck(
                    f'the {len(printed)} classes that the paper lists{title}',
                    sum(counts[label] for name, label in label_of.items() if name in printed),
                    sum(printed.values()),
                )
            )
    matched = set(label_of.values())
    return CountComparison(
        paper.dataset,
        tuple(rows),
        tuple(sums),
        tuple(name for label, name in enumerate(taxonomy.classes) if label not in matched),
    )


def _find(name: str, theirs: Taxonomy, ours: Taxonomy) -> int | None:
    """Our label of a class of theirs, whichever of its names either side knows."""
    for known in (name, *theirs.aliases.get(name, ())):
        label = ours.find(known)
        if label is not None:
            return label
    return None
