"""Open Images' class hierarchy: its JSON and class descriptions, and the classes below a node.

How it is read:

- `Subcategory` says "is a". `Part` ("has a") does not: a node that has only parts is a leaf.
- A class may be at several places. Its subcategories are those of all of them.
- A node with several parents goes to the parent on the shortest path from the chosen node; of
  several such parents to the one with the fewest leaves below it, the most specific; then to the
  one that the file names first.
- The chosen node itself, and any group that holds all classes, is not a group.
"""

from __future__ import annotations

import csv
import graphlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mmdet_multigrain.coco.hierarchy import strip_roots
from mmdet_multigrain.taxonomy.files import read_bytes
from mmdet_multigrain.taxonomy.names import normalize
from mmdet_multigrain.utils.errors import TaxonomyError, error_source
from mmdet_multigrain.utils.messages import did_you_mean, show

RULE = (
    'the parent on the shortest path from the node; of several, the one with the fewest '
    'leaves below it; then the first in the file'
)
MAX_BYTES = 4 << 20  # of a file; those of the release's 600 or 20,000 classes are smaller


@dataclass(frozen=True)
class Hierarchy:
    """The classes by label name (such as `/m/09j2d`); made by `read`."""

    root: str  # label name of the node that holds all others
    # "Is a" edges: the subcategories of each node, in the order of the file
    children: Mapping[str, tuple[str, ...]]
    names: Mapping[str, str]  # display names by label name; empty without class descriptions

    def name(self, label_name: str) -> str:
        """The display name, or the label name without class descriptions."""
        if self.names and label_name not in self.names:
            raise TaxonomyError(
                f'{show(label_name)} is not among the class descriptions; '
                'add a line with it and its name there'
            )
        return self.names.get(label_name, label_name)

    def find(self, node: str | None) -> str:
        """Label name of a node given by display name or label name; None is the root."""
        if node is None:
            return self.root
        if node in self.children:
            return node
        known = {self.names.get(label_name, label_name): label_name for label_name in self.children}
        found = {normalize(name): label_name for name, label_name in known.items()}
        if normalize(node) not in found:
            fix = 'without class descriptions nodes are named as in the hierarchy'
            hint = did_you_mean(node, known, 'check the name' if self.names else fix)
            raise TaxonomyError(f'the hierarchy has no node {show(node)}{hint}')
        return found[normalize(node)]

    def is_leaf(self, label_name: str) -> bool:
        """Whether a node has no subcategories."""
        return not self.children[label_name]

    def reachable(self, label_name: str) -> dict[str, int]:
        """The node and all below it, with their distance from it, nearest first."""
        distances = {label_name: 0}
        for node in (queue := [label_name]):
            for child in self.children[node]:
                if child not in distances:
                    distances[child] = distances[node] + 1
                    queue.append(child)
        return distances

    def leaves(self, label_name: str) -> set[str]:
        """The leaves below a node; of a leaf, itself."""
        return {node for node in self.reachable(label_name) if self.is_leaf(node)}

    def below(self, node: str | None = None) -> dict[str, Any]:
        """The arguments of a `Taxonomy` of the leaves below a node, in alphabetical order.

        The node has a display name or label name; default: the root.

        Raises:
            TaxonomyError: There is no such node, it is a leaf, or a class has no description.
        """
        top = self.find(node)
        if self.is_leaf(top):
            raise TaxonomyError(
                f'{show(self.names.get(top, top))} is a leaf of the hierarchy; name a node with '
                'subcategories'
            )
        parents = self._parents(top)
        leaves: dict[str, str] = {}
        paths = {}
        for leaf in filter(self.is_leaf, parents):
            name, path, above = self.name(leaf), [], parents[leaf][0]
            if leaves.setdefault(name, leaf) != leaf:
                raise TaxonomyError(
                    f'{show(leaves[name])} and {show(leaf)} are both named '
                    f'{show(name)}; rename one in the class descriptions'
                )
            while above != top:
                path.append(self.name(above))
                above = parents[above][0]
            paths[name] = tuple(reversed(path))
        classes = sorted(paths, key=lambda name: (name.casefold(), name))
        return {
            'name': self.names.get(top, 'Open Images' if top == self.root else top),
            'classes': classes,
            'paths': strip_roots([paths[name] for name in classes]),
            'aliases': {name: [leaves[name]] for name in classes if leaves[name] != name},
        }

    def choices(self, node: str | None = None) -> dict[str, tuple[str, ...]]:
        """The names of the parents of each node below one that has several, the chosen first."""
        return {
            self.names.get(child, child): tuple(self.names.get(p, p) for p in parents)
            for child, parents in self._parents(self.find(node)).items()
            if len(parents) > 1
        }

    def _parents(self, top: str) -> dict[str, list[str]]:
        """The parents of each node below one, the chosen one first."""
        distances = self.reachable(top)
        found: dict[str, list[str]] = {}
        for parent in distances:
            for child in self.children[parent]:
                found.setdefault(child, []).append(parent)
        for parents in found.values():
            if len(parents) > 1:
                # A stable sort: the order of the file breaks the remaining ties.
                parents.sort(key=lambda node: (distances[node], len(self.leaves(node))))
        return found


def read(
    hierarchy: str | os.PathLike[str], descriptions: str | os.PathLike[str] | None = None
) -> Hierarchy:
    """Read the release's `bbox_labels_600_hierarchy.json` or another of its form.

    That is JSON with `LabelName` and `Subcategory` (and `Part`). Without descriptions (`class-
    descriptions-boxable.csv`), label names are the names.

    Raises:
        TaxonomyError: A file cannot be read, or holds something else.
    """
    names = {} if descriptions is None else read_descriptions(descriptions)
    with error_source(hierarchy):
        raw = read_bytes(hierarchy, MAX_BYTES)
        try:
            content = json.loads(raw)
        except RecursionError:
            raise TaxonomyError('nested too deeply to be a class hierarchy') from None
        except ValueError as error:
            raise TaxonomyError(
                f'not valid JSON ({str(error)[:120]}); fetch the file again'
            ) from None
        children: dict[str, dict[str, None]] = {}
        for label_name, parent in _edges(content):
            children.setdefault(label_name, {})
            if parent is not None:
                children[parent][label_name] = None
        _refuse_circles(children)
        return Hierarchy(
            next(iter(children)), {node: tuple(below) for node, below in children.items()}, names
        )


def read_descriptions(path: str | os.PathLike[str]) -> dict[str, str]:
    """Display names by label name, from a CSV of the two; a header line may be there."""
    with error_source(path):
        try:
            text = read_bytes(path, MAX_BYTES).decode('utf-8-sig')
        except UnicodeDecodeError:
            raise TaxonomyError('this is not UTF-8 text; save it as UTF-8') from None
        names: dict[str, str] = {}
        reader = csv.reader(io.StringIO(text, newline=''))
        try:
            for row in reader:
                if not row or row == ['LabelName', 'DisplayName']:
                    continue
                if len(row) != 2 or not all(field.strip() for field in row):
                    raise TaxonomyError(
                        f'line {reader.line_num} is {show(",".join(row))}, not '
                        'a label name and a display name; correct the line'
                    )
                label_name, name = (field.strip() for field in row)
                if names.setdefault(label_name, name) != name:
                    raise TaxonomyError(
                        f'line {reader.line_num} names {show(label_name)} {show(name)}, but an '
                        f'earlier one {show(names[label_name])}; remove one'
                    )
        except csv.Error as error:
            raise TaxonomyError(f'line {reader.line_num}: not CSV ({error})') from None
        if not names:
            raise TaxonomyError('the file is empty; fetch it again')
        return names


def _edges(content: Any) -> Iterator[tuple[str, str | None]]:
    """Each node, parents first, with the node that it is a subcategory of, or None."""
    stack: list[tuple[Any, str | None, str]] = [(content, None, 'the top level')]
    while stack:
        node, parent, place = stack.pop()
        if not isinstance(node, Mapping) or not isinstance(node.get('LabelName'), str):
            raise TaxonomyError(
                f'{place} is {show(node)}, not an object with a LabelName; '
                "name Open Images' hierarchy file"
            )
        label_name = node['LabelName']
        yield label_name, parent
        below = []
        for key, parent in (('Subcategory', label_name), ('Part', None)):
            entries, place = node.get(key, []), f'{key} of {show(label_name)}'
            if not isinstance(entries, list):
                raise TaxonomyError(f'{place} is {show(entries)}, not a list')
            below += [(entry, parent, f'an entry of {place}') for entry in entries]
        stack += reversed(below)


def _refuse_circles(children: Mapping[str, Iterable[str]]) -> None:
    """Raise if a node is below itself."""
    try:
        graphlib.TopologicalSorter(children).prepare()
    except graphlib.CycleError as error:
        circle = error.args[1][::-1]  # each node after the one that it is a child of
        shown = ' -> '.join(map(show, circle[:6])) + (' ...' if len(circle) > 6 else '')
        raise TaxonomyError(f'subcategories run in a circle: {shown}; break it') from None
