"""Parse and write the text of taxonomy YAML files; `schema` has the meaning of the keys.

Parsing is strict: duplicate keys, which PyYAML accepts, raise, and all its errors become one line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from mmdet_multigrain.utils.errors import TaxonomyError
from mmdet_multigrain.utils.messages import one_line, show

_EXPLANATION = """\
# A taxonomy: the fine classes of a detector and the superclasses that group them.
#   groups:     each group with its children: a list of classes, a mapping of subgroups, or a
#               list of both ([hat, {helmets: [bicycle helmet, football helmet]}]), to any depth.
#   trees:      instead of groups: several trees by name, each with groups of the same classes. Only
#               the first has all of them; a class that another leaves out is a group by itself.
#   main_tree:  of several trees, the one for hedging and fusion; left out, the first.
#   ungrouped:  classes without a group; each is its own superclass.
#   classes:    the label order (all of them); left out, the order in which they appear above.
#   aliases:    other names of a class, a group or `object` (any class) in data files. Case
#               does not count, and '_', '-' and blanks are the same.
#   levels:     number of levels, where more are wanted than the groups need (classes included).
#   allow_one_group: true where one group may hold all classes, which only a control needs.
# Quote names that YAML reads otherwise, such as "no", "on" and "3".
"""

MAX_BYTES = 4 << 20  # tens of thousands of classes; PyYAML takes up to 10 s for one MiB
MAX_MERGED = 100_000  # keys; before PyYAML 6.0.4 merging (<<) doubles with each line
MAX_DIGITS = 100  # PyYAML takes minutes to read a long number of base 60 (1:30:00)


class _StrictLoader(yaml.SafeLoader):
    """A SafeLoader that rejects duplicate keys, and what would take it forever."""

    # Checked while nodes are composed: later, merge keys (<<) have added other keys.
    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        first_line: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            if key.value in first_line:
                raise TaxonomyError(
                    f'line {line}: key {show(key.value)} is given twice '
                    f'(first on line {first_line[key.value]}); merge the two'
                )
            first_line[key.value] = line
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        if len(node.value) > MAX_MERGED:
            place = f'line {node.start_mark.line + 1}'
            raise TaxonomyError(
                f'{place}: over {MAX_MERGED:,} keys by merging (<<); list classes once'
            )

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        """A whole number or a fraction, if it is not too long."""
        if len(node.value) > MAX_DIGITS:
            place, fix = f'line {node.start_mark.line + 1}', 'quote it if it is a name'
            raise TaxonomyError(f'{place}: number {show(node.value)} is too long; {fix}')
        return yaml.SafeLoader.yaml_constructors[node.tag](self, node)


for _kind in ('int', 'float'):
    _StrictLoader.add_constructor(f'tag:yaml.org,2002:{_kind}', _StrictLoader.construct_number)


class _Dumper(yaml.SafeDumper):
    """A SafeDumper that writes short lists of names on one line, others with one item per line."""

    def represent_sequence(
        self, tag: str, sequence: list[Any], flow_style: bool | None = None
    ) -> yaml.SequenceNode:
        short = all(isinstance(item, str) for item in sequence) and sum(map(len, sequence)) <= 60
        return super().represent_sequence(tag, sequence, flow_style=short)


def parse(content: bytes) -> Any:
    """The content of a YAML file; keys and values are not yet checked."""
    try:
        value = yaml.load(content.decode('utf-8'), Loader=_StrictLoader)
    except TaxonomyError:
        raise
    except UnicodeDecodeError:
        raise TaxonomyError('this is not UTF-8 text; save it as UTF-8') from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f'line {mark.line + 1}: ' if mark else ''
        raise TaxonomyError(f'{place}not valid YAML: {one_line(error.problem)}') from None
    except RecursionError:
        raise TaxonomyError('not a taxonomy: nested too deeply') from None
    except Exception as error:
        # PyYAML raises anything for a scalar that looks like a number or a date but is not one.
        raise TaxonomyError(f'not valid YAML: {one_line(error)}') from None
    if value is None:
        raise TaxonomyError('the file is empty; list groups of classes in it')
    return value


def dump(mapping: Mapping[str, Any]) -> str:
    """The text of a YAML file, with a comment that explains its keys."""
    body = yaml.dump(
        mapping, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=float('inf')
    )
    return f'{_EXPLANATION}\n{body}'
