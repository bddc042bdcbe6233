"""Which boxes of Open Images are wanted: the class that each LabelName of its CSV files means."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConverterError, TaxonomyError
from mmdet_multigrain.utils.files import dump_json
from mmdet_multigrain.utils.messages import did_you_mean, show

from .openimages_hierarchy import Hierarchy, read, read_descriptions

CLOTHING = 'openimages_v4_clothing'


@dataclass(frozen=True)
class Selection:
    """The classes, and what they are called in the CSV files."""

    taxonomy: Taxonomy  # the classes
    labels: Mapping[str, int]  # label by LabelName
    # names of nodes of the hierarchy all of whose leaves are classes of the taxonomy, by
    # LabelName: their boxes have a superclass, but no class
    inner: Mapping[str, str] = field(default_factory=dict)
    # labels of such boxes, which are above K (`Taxonomy.labels`), by LabelName
    coarse: Mapping[str, int] = field(default_factory=dict)
    # the classes of each LabelName: one of a class, all below a node of the hierarchy
    below: Mapping[str, frozenset[int]] = field(default_factory=dict)

    def digest(self) -> str:
        """A short text that differs when something else is selected."""
        labels, inner = ([*names.items()] for names in (self.labels, self.inner))
        content = dump_json([self.taxonomy.to_dict(), labels, inner])
        return hashlib.sha256(content).hexdigest()[:16]


def load_selection(
    taxonomy: Taxonomy | str | os.PathLike[str] | None = None,
    *,
    node: str | None = None,
    hierarchy: str | os.PathLike[str] | None = None,
    descriptions: str | os.PathLike[str] | None = None,
) -> Selection:
    """The selection that files and names on a command line stand for.

    Args:
        taxonomy: The classes, as for `Taxonomy.load`; default: the clothing classes.
        node: Instead: the classes below this node of the hierarchy.
        hierarchy: `bbox_labels_600_hierarchy.json`, for `node` and to count boxes of superclasses.
        descriptions: `class-descriptions-boxable.csv`; needed where a class has no label name,
            not as an alias either.

    Raises:
        ConverterError: The arguments do not go together, or a class is not in the descriptions.
        TaxonomyError: A file cannot be used.
    """
    if node is not None:
        if taxonomy is not None:
            raise ConverterError('--node and --taxonomy both say which classes; leave out one')
        if hierarchy is None:
            raise ConverterError(
                f'--node {node}: which classes are below it says --hierarchy; '
                'name bbox_labels_600_hierarchy.json'
            )
        taxonomy = Taxonomy.from_openimages(hierarchy, descriptions, node)
    tree = None if hierarchy is None else read(hierarchy, descriptions)
    names = {} if descriptions is None else read_descriptions(descriptions)
    taxonomy = Taxonomy.load(CLOTHING if taxonomy is None else taxonomy)
    return select(taxonomy, names=names, hierarchy=tree, source=descriptions)


def select(
    taxonomy: Taxonomy,
    *,
    names: Mapping[str, str] | None = None,
    hierarchy: Hierarchy | None = None,
    source: object = 'class descriptions',
) -> Selection:
    """Find the label names (`/m/...`) of each class among its aliases, and by its name.

    If one of the classes has none, all may go by their names in the CSV file, too. `names` are
    display names by label name, from `source`; the hierarchy tells the inner nodes.

    Raises:
        ConverterError: A class is not among the display names.
    """
    names = names or {}
    labels = {
        known: label
        for label, name in enumerate(taxonomy.classes)
        for known in (name, *taxonomy.aliases.get(name, ()))
    }
    for label_name, name in names.items():
        label = taxonomy.find(name)
        if label is not None:
            labels.setdefault(label_name, label)
    label_names = {
        known: label for known, label in labels.items() if known in names or known.startswith('/')
    }
    found = set(label_names.values())
    if len(found) == taxonomy.num_classes:
        labels = label_names  # nothing else to look for makes reading faster
    for label, name in enumerate(taxonomy.classes):
        if names and label not in found:
            raise ConverterError(
                f'{source}: no class {show(name)} of taxonomy {show(taxonomy.name)}'
                + did_you_mean(name, names.values(), 'give its label name (/m/...) as an alias')
            )
    inner, below = {}, {name: frozenset([label]) for name, label in labels.items()}
    for node in hierarchy.children if hierarchy is not None else ():
        leaves = hierarchy.leaves(node)
        classes = frozenset(labels[leaf] for leaf in leaves if leaf in labels)
        if node not in labels and classes:
            below[node] = classes
            if leaves <= labels.keys():
                inner[node] = hierarchy.names.get(node, node)
    coarse = {node: _smallest_label(taxonomy, below[node]) for node in inner}
    coarse = {node: label for node, label in coarse.items() if label is not None}
    return Selection(taxonomy, labels, inner, coarse, below)


def _smallest_label(taxonomy: Taxonomy, classes: frozenset[int]) -> int | None:
    """The smallest label above K that allows all these classes, if its name is not a class's.

    A node with a single class has the label of a group, too: its boxes are of other objects than
    that class, such as of trousers that are not jeans.
    """
    table = taxonomy.labels
    labels = range(taxonomy.num_classes + 1, len(table))
    wide = [label for label in labels if table.sets[label, list(classes)].all()]
    for label in sorted(wide, key=lambda label: table.sets[label].sum()):
        with contextlib.suppress(TaxonomyError):  # several groups have the name
            if taxonomy.find(table.names[label], coarse=True) == label:
                return label
    return None
