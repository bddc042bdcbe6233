"""Box counts of a training set compared with those that the paper prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.table import Column, Table

from ..runs.paper import Paper

_NUMBERS = {'boxes': ',d', 'paper': ',d', 'ratio': '.3f'}  # columns and their formats


@dataclass(frozen=True)
class ClassCount:
    """Boxes of one class in the file and in the paper; None where a side lacks the class."""

    name: str
    boxes: int | None
    paper: int | None

    @property
    def ratio(self) -> float | None:
        """File over paper."""
        return None if self.boxes is None or self.paper is None else self.boxes / self.paper


@dataclass(frozen=True)
class SumCheck:
    """One of the paper's sums and ours."""

    what: str
    boxes: int
    paper: int

    def __str__(self) -> str:
        difference = self.boxes - self.paper
        verdict = f'differs by {difference:+,}' if difference else 'agrees'
        return f'{self.what}: {self.boxes:,}, the paper {self.paper:,}: {verdict}'


@dataclass(frozen=True)
class CountComparison:
    """Box counts of a training set and the paper's."""

    dataset: str  # `df2` or `oiv4c`
    # those that the paper lists (rarest first), then the data set's others
    classes: tuple[ClassCount, ...]
    # of all classes; of the listed ones if these are fewer; both again with crowds if there are any
    sums: tuple[SumCheck, ...]
    others: tuple[str, ...]  # classes of the file that the paper's data set lacks; in no sum

    def table(self) -> Table:
        """One row for each class."""
        return Table(
            [Column('class', left=True)]
            + [Column(key, form=form) for key, form in _NUMBERS.items()],
            [(row.name, row.boxes, row.paper, row.ratio) for row in self.classes],
        )


def compare_counts(
    paper: Paper, taxonomy: Taxonomy, boxes: Sequence[int], crowds: Sequence[int], *, source: object
) -> CountComparison:
    """Compare box counts with the paper's; classes match by name and alias on both sides.

    Args:
        paper: Its numbers.
        taxonomy: K classes of the file.
        boxes: (K,) boxes of each class, crowds not counted.
        crowds: (K,) crowd boxes; the paper does not say whether it counts them.
        source: The file, for messages.

    Raises:
        ReportError: File and paper have no class in common.
    """
    names = paper.taxonomy.classes
    advice = 'which the paper counts; name the file of that data set'
    labels = paper.labels_in(taxonomy, source=source, advice=advice)
    printed = {row.name: row.train_boxes for row in paper.classes}
    columns = {'': boxes}
    if any(crowds):
        columns[' with crowds'] = [sum(both) for both in zip(boxes, crowds, strict=True)]
    sums = []
    for suffix, counts in columns.items():
        ours = {name: counts[label] for name, label in labels.items()}
        what = f'all {len(names)} classes{suffix}'
        sums.append(SumCheck(what, sum(ours.values()), paper.train_boxes))
        if len(printed) < len(names):
            what = f'the {len(printed)} classes that the paper lists{suffix}'
            listed = sum(count for name, count in ours.items() if name in printed)
            sums.append(SumCheck(what, listed, sum(printed.values())))
    matched = set(labels.values())
    return CountComparison(
        dataset=paper.dataset,
        classes=tuple(
            ClassCount(name, boxes[labels[name]] if name in labels else None, printed.get(name))
            for name in dict.fromkeys((*printed, *labels))
        ),
        sums=tuple(sums),
        others=tuple(name for n, name in enumerate(taxonomy.classes) if n not in matched),
    )
