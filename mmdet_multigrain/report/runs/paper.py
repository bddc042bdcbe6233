"""The numbers that the paper prints (arXiv 2101.06770, tables 1 to 4), from `data/paper.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

import yaml

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ReportError

DATASETS = {'df2': 'DeepFashion2', 'oiv4c': 'OpenImagesV4-Clothing'}


@dataclass(frozen=True)
class PaperClass:
    """A column of table 3 or 4: class (in the built-in taxonomy), "Num", AP in percent by variant."""

    name: str
    train_boxes: int
    ap: Mapping[str, float]


@dataclass(frozen=True)
class Paper:
    """What the paper prints of one data set."""

    dataset: str  # `df2` or `oiv4c`
    taxonomy: Taxonomy  # the built-in taxonomy of the data set
    train_boxes: int  # boxes of all classes
    # COCO's metrics (AP, AP50, AP75, APs, APm, APl) in percent, by variant
    overall: Mapping[str, Mapping[str, float]]
    classes: tuple[PaperClass, ...]  # those that it lists, rarest first

    def is_of(self, train_boxes: Mapping[str, int | None]) -> bool:
        """Whether these are the training boxes by class of its data set, within 2%."""

        def fits(row: PaperClass) -> bool:
            boxes = train_boxes[row.name]
            return boxes is not None and abs(boxes - row.train_boxes) <= 0.02 * row.train_boxes

        return set(train_boxes) == set(self.taxonomy.classes) and all(map(fits, self.classes))

    def labels_in(self, taxonomy: Taxonomy, *, source: object, advice: str) -> dict[str, int]:
        """Label in another taxonomy of each class that it has, by any name that either side knows.

        Raises:
            ReportError: There is no class in common; names the `source` and gives the `advice`.
        """
        labels = {}
        for name in self.taxonomy.classes:
            known = map(taxonomy.find, (name, *self.taxonomy.aliases.get(name, ())))
            label = next((label for label in known if label is not None), None)
            if label is not None:
                labels[name] = label
        if not labels:
            raise ReportError(f'{source}: none of its classes is one of {self.dataset}, {advice}')
        return labels


def dataset_of(train_boxes: Mapping[str, int | None]) -> str | None:
    """Which of the paper's data sets has these training boxes by class; None for other data."""
    return next((name for name in DATASETS if load_paper(name).is_of(train_boxes)), None)


def load_paper(dataset: str) -> Paper:
    """The paper's numbers for `df2` or `oiv4c`."""
    text = (resources.files(__package__) / 'data' / 'paper.yaml').read_text(encoding='utf-8')
    content = yaml.safe_load(text)
    variants, numbers = content['variants'], content[dataset]
    taxonomy = Taxonomy.load(numbers['taxonomy'])
    return Paper(
        dataset=dataset,
        taxonomy=taxonomy,
        train_boxes=numbers['train_boxes'],
        overall=numbers['overall'],
        classes=tuple(
            PaperClass(
                taxonomy.classes[taxonomy.label_of(name)],
                train_boxes,
                dict(zip(variants, aps, strict=True)),
            )
            for name, (train_boxes, *aps) in numbers['classes'].items()
        ),
    )
