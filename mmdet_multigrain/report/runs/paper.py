"""The numbers that the paper prints (arXiv 2101.06770, tables 1 to 4), from `data/paper.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

import yaml

from mmdet_multigrain.taxonomy import Taxonomy

DATASETS = ('df2', 'oiv4c')


@dataclass(frozen=True)
class PaperClass:
    """A column of table 3 or 4.

    Attributes:
        name: Of the class, in the built-in taxonomy.
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
        overall: COCO's metrics (AP, AP50, AP75, APs, APm, APl) in percent, by variant.
        classes: Those that it lists, rarest first.
    """

    dataset: str
    taxonomy: Taxonomy
    train_boxes: int
    overall: Mapping[str, Mapping[str, float]]
    classes: tuple[PaperClass, ...]

    def label_in(self, taxonomy: Taxonomy, name: str) -> int | None:
        """Label of a paper class in another taxonomy, by any name that either side knows."""
        names = (name, *self.taxonomy.aliases.get(name, ()))
        return next((label for label in map(taxonomy.find, names) if label is not None), None)


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
