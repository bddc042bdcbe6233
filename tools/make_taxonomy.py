"""Write a taxonomy as a YAML file to edit:

python tools/make_taxonomy.py --from coco annotations/train.json --out wardrobe.yaml
python tools/make_taxonomy.py --from openimages bbox_labels_600_hierarchy.json \\
    --descriptions class-descriptions-boxable.csv --node Clothing --out clothing.yaml
python tools/make_taxonomy.py --from yaml groups.yaml --out wardrobe.yaml

A YAML file may also hold nothing but nested groups, or a list of classes; it is checked and
written in full. Without --out the file goes to the screen.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

try:
    from mmdet_multigrain.converters import openimages_hierarchy as openimages
    from mmdet_multigrain.launch import add_force, check_outputs, run_tool
    from mmdet_multigrain.taxonomy import Taxonomy, TaxonomyError, yaml_file
    from mmdet_multigrain.taxonomy.files import read_bytes
    from mmdet_multigrain.utils.errors import error_source
    from mmdet_multigrain.utils.files import write_whole
    from mmdet_multigrain.utils.messages import printable, show
except ImportError as error:
    raise SystemExit(f'error: {error}; fix: bash tools/setup.sh; . .venv/bin/activate') from None

SOURCES = ('coco', 'openimages', 'yaml')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Write a taxonomy as a YAML file to edit')
    parser.add_argument(
        '--from',
        dest='source',
        choices=SOURCES,
        required=True,
        help='coco: the supercategories of a COCO file; openimages: the class '
        'hierarchy of Open Images; yaml: a taxonomy, groups or a list',
    )
    parser.add_argument('input', type=Path, help='the JSON or YAML file')
    parser.add_argument(
        '--descriptions',
        type=Path,
        metavar='CSV',
        help='openimages: class-descriptions-boxable.csv; without it classes are named /m/...',
    )
    parser.add_argument('--node', help='openimages: take the classes below this one (default: all)')
    parser.add_argument('--out', type=Path, help='the YAML file to write (default: the screen)')
    add_force(parser)
    args = parser.parse_args()
    if args.source != 'openimages' and (args.node or args.descriptions):
        parser.error('--node and --descriptions go with --from openimages')
    return args


def read_yaml(path: Path) -> Taxonomy:
    """A taxonomy from a YAML file, which may be a list of classes and groups, too."""
    with error_source(path):
        content = yaml_file.parse(read_bytes(path, yaml_file.MAX_BYTES))
    if not isinstance(content, list):
        return Taxonomy.from_yaml(path)
    with error_source(path):
        groups: dict[str, Any] = {}
        for entry in content:
            for name, children in entry.items() if isinstance(entry, Mapping) else ():
                if name in groups:
                    raise TaxonomyError(f'group {show(name)} is listed twice; merge the two')
                groups[name] = children
        return Taxonomy.from_mapping(
            {
                'name': path.stem,
                'groups': groups,
                'ungrouped': [entry for entry in content if not isinstance(entry, Mapping)],
            },
            source='',
        )


def describe_openimages(path: Path, descriptions: Path | None, node: str | None) -> list[str]:
    """How the hierarchy was read, as comments for the file's head."""
    hierarchy = openimages.read(path, descriptions)
    lines = [f'From {path.name}: all classes' + (f' below {node}.' if node else '.')]
    choices = hierarchy.choices(node)
    if choices:
        lines.append(f'A node with several parents goes to {openimages.RULE}:')
        lines += [
            f'- {name}: {chosen} (not {", ".join(others)})'
            for name, (chosen, *others) in choices.items()
        ]
    return lines


def summarize(taxonomy: Taxonomy) -> str:
    """A line of numbers."""
    groups = {path[:depth] for path in taxonomy.paths for depth in range(1, len(path) + 1)}
    return (
        f'{taxonomy.name}: {taxonomy.num_classes} classes, {len(groups)} groups, '
        f'{taxonomy.num_levels} levels, {taxonomy.paths.count(())} classes without a group'
    )


def main() -> None:
    args = parse_args()
    if args.out:
        read = [path for path in (args.input, args.descriptions) if path]
        check_outputs([args.out], inputs=read, replace=args.force)
    comments = []
    if args.source == 'coco':
        taxonomy = Taxonomy.from_coco(args.input)
        comments = [f'From {args.input.name}.']
    elif args.source == 'openimages':
        taxonomy = Taxonomy.from_openimages(args.input, args.descriptions, args.node)
        comments = describe_openimages(args.input, args.descriptions, args.node)
    else:
        taxonomy = read_yaml(args.input)
    head = ''.join(f'# {printable(" ".join(line.split()))}\n' for line in comments)
    text = (f'{head}#\n' if head else '') + taxonomy.to_yaml()
    if args.out:
        write_whole(args.out, text.encode())
    else:
        sys.stdout.write(text)
    print(summarize(taxonomy) + (f' -> {args.out}' if args.out else ''), file=sys.stderr)


if __name__ == '__main__':
    run_tool(main)
