"""Write a taxonomy as a YAML file to edit:

python tools/make_taxonomy.py --from coco annotations/train.json [MORE.json ...] --out wardrobe.yaml
python tools/make_taxonomy.py --from openimages bbox_labels_600_hierarchy.json \\
    --descriptions class-descriptions-boxable.csv --node Clothing --out clothing.yaml
python tools/make_taxonomy.py --from yaml groups.yaml --out wardrobe.yaml

With --controls DIR, the same classes in other groups are written, too: three random draws of the same
sizes, each class by itself, all in one. With --coarse, boxes of superclasses in a COCO file become
"only the superclass known". A YAML file may also hold nothing but nested groups, or a list of
classes; it is checked and written in full. Without --out the file goes to the screen.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

try:
    from mmdet_multigrain.coco import hierarchy
    from mmdet_multigrain.coco.files import load_coco
    from mmdet_multigrain.converters import openimages_hierarchy as openimages
    from mmdet_multigrain.launch import add_force, check_outputs, run_tool
    from mmdet_multigrain.taxonomy import Taxonomy, TaxonomyError, yaml_file
    from mmdet_multigrain.taxonomy.controls import CONTROLS, controls
    from mmdet_multigrain.taxonomy.files import read_bytes
    from mmdet_multigrain.utils.errors import error_source
    from mmdet_multigrain.utils.files import write_whole
    from mmdet_multigrain.utils.messages import printable, show, show_list
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
    parser.add_argument(
        'input', type=Path, nargs='+', help='the JSON or YAML file; of COCO files, one or several'
    )
    parser.add_argument(
        '--coarse',
        nargs='*',
        metavar='NAME',
        help='coco: supercategories with boxes of their own that are not to be classes: of their '
        'boxes, only the superclass is known (without a name: all that have two classes or more)',
    )
    parser.add_argument(
        '--descriptions',
        type=Path,
        metavar='CSV',
        help='openimages: class-descriptions-boxable.csv; without it classes are named /m/...',
    )
    parser.add_argument('--node', help='openimages: take the classes below this one (default: all)')
    parser.add_argument('--out', type=Path, help='the YAML file to write (default: the screen)')
    parser.add_argument(
        '--controls',
        type=Path,
        metavar='DIR',
        help='folder for the same classes in other groups, to train and compare with (docs/groups.md): '
        f'{", ".join(CONTROLS)}',
    )
    add_force(parser)
    args = parser.parse_args()
    if args.source != 'openimages' and (args.node or args.descriptions):
        parser.error('--node and --descriptions go with --from openimages')
    if args.source != 'coco' and (len(args.input) > 1 or args.coarse is not None):
        parser.error('several files and --coarse go with --from coco')
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


def read_coco(paths: list[Path], coarse: list[str] | None) -> tuple[Taxonomy, list[str]]:
    """A taxonomy from the supercategories of COCO files, and what to know about them, as lines."""
    contents = [(path, load_coco(path, error=TaxonomyError).content) for path in paths]
    source, more = paths[0], f' and {len(paths) - 1} more' if len(paths) > 1 else ''
    content = hierarchy.merge(contents)
    with error_source(source):
        parents = hierarchy.annotated_parents(content)
        unclear = [name for name, (_, below) in parents.items() if len(below) > 1]
        for name in coarse or ():
            if name not in unclear:
                raise TaxonomyError(
                    f'--coarse {show(name)}: not a supercategory of several classes with boxes of '
                    f'its own; {f"such are {show_list(unclear)}" if unclear else "leave it out"}'
                )
        chosen = unclear if coarse == [] else coarse or []
        taxonomy = Taxonomy(f'{source.name}{more}', **hierarchy.parse(content, chosen))
    lines = []
    for name, (boxes, below) in parents.items():
        line = (
            f'{source}{more}: {boxes:,} boxes of {show(name)}, the superclass of {show_list(below)}'
        )
        if name in chosen:
            lines.append(f'{line}: only the superclass is known')
        else:
            fix = f'add --coarse {quote(name)}' if name in unclear else 'give them its category'
            lines.append(
                f'{line}, are a class of their own: negatives for it; if they may be of it, {fix}'
            )
    depths = [len(path) for path in taxonomy.paths]
    if higher := [c for c, d in zip(taxonomy.classes, depths, strict=True) if d < max(depths)]:
        lines.append(
            f'{source}{more}: less deep than other classes: {show_list(higher)}; on a level where a '
            'class has no group, it is a group by itself'
        )
    for path, own in contents if more else ():
        listed = {taxonomy.find(category['name']) for category in own['categories']}
        if missing := [c for label, c in enumerate(taxonomy.classes) if label not in listed]:
            lines.append(
                f'{path}: lacks {len(missing)} of {taxonomy.num_classes} classes: '
                f'{show_list(missing)}; objects of these in its photos are background, unless its data '
                'set says annotated=[...] (docs/labels.md)'
            )
    return taxonomy, lines


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
    path = args.input[0]
    outputs = [args.out] if args.out else []
    outputs += [args.controls / f'{name}.yaml' for name in CONTROLS] if args.controls else []
    read = [path for path in (*args.input, args.descriptions) if path]
    check_outputs(outputs, inputs=read, replace=args.force)
    comments, notes = [], []
    if args.source == 'coco':
        taxonomy, notes = read_coco(args.input, args.coarse)
        comments = [f'From {", ".join(path.name for path in args.input)}.', *notes]
    elif args.source == 'openimages':
        taxonomy = Taxonomy.from_openimages(path, args.descriptions, args.node)
        comments = describe_openimages(path, args.descriptions, args.node)
    else:
        taxonomy = read_yaml(path)
    others = controls(taxonomy) if args.controls else {}
    head = ''.join(f'# {printable(" ".join(line.split()))}\n' for line in comments)
    text = (f'{head}#\n' if head else '') + taxonomy.to_yaml()
    if args.out:
        write_whole(args.out, text.encode())
    else:
        sys.stdout.write(text)
    for name, other in others.items():
        write_whole(args.controls / f'{name}.yaml', other.to_yaml().encode())
    for note in notes:
        print(note, file=sys.stderr)
    print(summarize(taxonomy) + (f' -> {args.out}' if args.out else ''), file=sys.stderr)
    if others:
        print(f'controls: {args.controls}/{{{",".join(others)}}}.yaml', file=sys.stderr)


if __name__ == '__main__':
    run_tool(main)
