"""Write a taxonomy as a YAML file to edit:

python tools/make_taxonomy.py --from coco annotations/train.json [MORE.json ...] --out wardrobe.yaml
python tools/make_taxonomy.py --from openimages bbox_labels_600_hierarchy.json \\
    --descriptions class-descriptions-boxable.csv --node Clothing --out clothing.yaml
python tools/make_taxonomy.py --from yaml groups.yaml --out wardrobe.yaml
python tools/make_taxonomy.py --from confusion|weights|embeddings INPUT --out suggested.yaml

With --controls DIR, the same classes in other groups are written, too: three random draws of the same
sizes, each class by itself, all in one. With --coarse, boxes of superclasses in a COCO file become
"only the superclass known". A YAML file may also hold nothing but nested groups, or a list of
classes; it is checked and written in full. Without --out the file goes to the screen.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

try:
    from mmdet_multigrain import launch
    from mmdet_multigrain.coco import hierarchy
    from mmdet_multigrain.coco.files import load_coco
    from mmdet_multigrain.coco.split import GROUPINGS
    from mmdet_multigrain.converters import openimages_hierarchy as openimages
    from mmdet_multigrain.taxonomy import Taxonomy, TaxonomyError, yaml_file
    from mmdet_multigrain.taxonomy.controls import CONTROLS, controls
    from mmdet_multigrain.taxonomy.files import read_bytes
    from mmdet_multigrain.utils.errors import ReportError, error_source
    from mmdet_multigrain.utils.files import write_together
    from mmdet_multigrain.utils.messages import printable, show, show_list
except ImportError as error:
    raise SystemExit(f'error: {error}; fix: bash tools/setup.sh; . .venv/bin/activate') from None

if TYPE_CHECKING:
    from mmdet_multigrain.report.groups.suggestion import Suggestion

SUGGESTED = ('confusion', 'weights', 'embeddings')
AUTO = 'auto'
OF_RUNS = ('config', 'evaluated_on', 'group_by')
OF_SUGGESTIONS = ('groups', 'judge', *OF_RUNS, 'taxonomy', 'train_ann_file', 'figure')
SOURCES = ('coco', 'openimages', 'yaml', *SUGGESTED)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Write a taxonomy as a YAML file to edit')
    parser.add_argument(
        '--from',
        dest='source',
        choices=SOURCES,
        required=True,
        help='coco: the supercategories of a COCO file; openimages: the class '
        'hierarchy of Open Images; yaml: a taxonomy, groups or a list; what the data suggests '
        '(docs/groups.md), confusion: the mistakes of a tested run; weights: the classifier of a '
        'checkpoint; embeddings: a vector of each class',
    )
    parser.add_argument(
        'input',
        type=Path,
        nargs='+',
        help='the JSON or YAML file; of COCO files, one or several; confusion: a work dir or '
        'result.json; weights: a checkpoint; embeddings: JSON, or .npy and a text file of names',
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
    add_suggestion(parser)
    launch.add_force(parser)
    args = parser.parse_args()
    given = [key for key in OF_SUGGESTIONS if getattr(args, key)]
    if given and args.source not in SUGGESTED:
        parser.error(f'--{given[0].replace("_", "-")} goes with --from {", ".join(SUGGESTED)}')
    if args.source == 'confusion' and args.judge:
        parser.error('--judge goes with --from weights, embeddings')
    needs_run = any(getattr(args, key) for key in OF_RUNS)
    if needs_run and args.source != 'confusion' and not args.judge:
        parser.error('--config, --evaluated-on and --group-by go with --from confusion or --judge')
    if args.figure and args.figure.suffix not in ('.png', '.svg'):
        parser.error(f'--figure {args.figure}: name a .png or .svg file')
    if args.source != 'openimages' and (args.node or args.descriptions):
        parser.error('--node and --descriptions go with --from openimages')
    most = {'coco': len(args.input), 'embeddings': 2}.get(args.source, 1)
    if len(args.input) > most or (args.source != 'coco' and args.coarse is not None):
        parser.error('several files and --coarse go with --from coco')
    return args


def add_suggestion(parser: argparse.ArgumentParser) -> None:
    """Arguments of groups that the data suggests."""
    add = parser.add_argument_group('groups that the data suggests (docs/groups.md)').add_argument
    add(
        '--groups',
        type=lambda text: text if text == AUTO else launch.whole_number(2)(text),
        metavar='N|auto',
        help='how many groups of several classes; default: auto, the number that is farthest above '
        'random groups on other photos',
    )
    add('--judge', metavar='RUN', help='a tested run whose confusions judge the groups')
    add(
        '--config',
        type=Path,
        metavar='CONFIG.py',
        help='the run must not be tested on the photos of its validation or test; default: its own',
    )
    add(
        '--evaluated-on',
        type=Path,
        nargs='+',
        metavar='FILE',
        help='instead of a config, its annotation files of validation and test',
    )
    add('--group-by', metavar='HOW', help=f'photos that stay in one half: {GROUPINGS}')
    add('--taxonomy', metavar='NAME|YAML|COCO', help='your own groups, to compare with')
    add(
        '--train-ann-file',
        type=Path,
        metavar='TRAIN.json',
        help="whose boxes say which classes are rare; default: what the run's result says",
    )
    add('--figure', type=Path, metavar='FILE', help='draw tree and confusions: .png or .svg')


def read_yaml(path: Path) -> Taxonomy:
    """A taxonomy from a YAML file, which may be a list of classes and groups, too."""
    with error_source(path):
        content = yaml_file.parse(read_bytes(path, yaml_file.MAX_BYTES))
        if not isinstance(content, list):
            return Taxonomy.from_yaml(path)
        groups: dict[str, Any] = {}
        for entry in content:
            for name, children in entry.items() if isinstance(entry, Mapping) else ():
                if name in groups:
                    raise TaxonomyError(f'group {show(name)} is listed twice; merge the two')
                groups[name] = children
        ungrouped = [entry for entry in content if not isinstance(entry, Mapping)]
        mapping = {'name': path.stem, 'groups': groups, 'ungrouped': ungrouped}
        return Taxonomy.from_mapping(mapping, source='')


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
        fix = f'add --coarse {quote(name)}' if name in unclear else 'give them its category'
        meaning = f', are a class of their own: negatives for it; if they may be of it, {fix}'
        if name in chosen:
            meaning = ': only the superclass is known'
        superclass = f'{boxes:,} boxes of {show(name)}, the superclass of {show_list(below)}'
        lines.append(f'{source}{more}: {superclass}{meaning}')
    depths = [len(path) for path in taxonomy.paths]
    if higher := [c for c, d in zip(taxonomy.classes, depths, strict=True) if d < max(depths)]:
        lines.append(
            f'{source}{more}: less deep than other classes: {show_list(higher)}; on a level where a '
            'class has no group, it is a group by itself'
        )
    groups = {group for path in taxonomy.paths for group in path}
    for path, own in contents if more else ():
        if root := sorted(hierarchy.roots(own) & groups):
            lines.append(
                f'{path}: {show_list(root)} holds all of its classes; if that is only the root that a '
                'tool exports, remove it from the taxonomy'
            )
        listed = {taxonomy.find(category['name']) for category in own['categories']}
        if missing := [c for label, c in enumerate(taxonomy.classes) if label not in listed]:
            lines.append(
                f'{path}: lacks {len(missing)} of {taxonomy.num_classes} classes: '
                f'{show_list(missing)}; objects of these in its photos are background, unless its data '
                'set says annotated=[...] (docs/labels.md)'
            )
    return taxonomy, lines


def read_suggestion(args: argparse.Namespace) -> tuple[Suggestion, list[str]]:
    """Groups that the data suggests, and what to know about the photos, as lines."""
    from mmdet_multigrain.report.groups import sources
    from mmdet_multigrain.report.groups.suggestion import suggest
    from mmdet_multigrain.report.runs.inputs import TestSet
    from mmdet_multigrain.report.runs.load import load_runs

    path, found, vectors, notes = args.input[0], None, None, []
    if args.source == 'confusion' or args.judge:
        (run,) = load_runs([args.judge or path])
        files = args.evaluated_on or evaluated_on(args.config or run.result.run.config, run.source)
        found = sources.from_run(run, files, group_by=args.group_by)
        notes = [f'validation and test: {", ".join(map(str, files))}', *found.notes]
    if args.source == 'weights':
        with launch.quiet_imports():
            import mmdet_multigrain.engine.checkpoint.read  # noqa: F401
        vectors = sources.from_checkpoint(path)
    elif args.source == 'embeddings':
        vectors = sources.from_files(*args.input)
    own = Taxonomy.load(args.taxonomy) if args.taxonomy else None
    number = None if args.groups == AUTO else args.groups
    with error_source(path, ReportError):
        suggestion = suggest(found, vectors, own=own, num_groups=number)
    if args.train_ann_file:
        train = TestSet(args.train_ann_file, suggestion.own, lenient=True)
        suggestion = replace(suggestion, train_boxes=train.annotations.training_counts())
    return suggestion, notes


def evaluated_on(config: str | Path | None, source: Path) -> list[Path]:
    """The annotation files of validation and test of a config."""
    if config is None or not Path(config).is_file():
        raise ReportError(
            f'{source}: nothing tells which photos are for validation and test; name the config that '
            'you are going to train (--config), or their annotation files (--evaluated-on)'
        )
    cfg = launch.load_config(config)
    from mmdet_multigrain.engine.runner.same_run import annotation_files  # prints if first

    parts = 'val_dataloader', 'test_dataloader', 'val_evaluator', 'test_evaluator'
    files = annotation_files({part: cfg.get(part) for part in parts})
    if not files:
        raise ReportError(
            f'{config}: its annotation files of validation and test are not here; say where '
            '(MULTIGRAIN_DATA), or name them (--evaluated-on)'
        )
    return [Path(file) for file in files]


def draw(suggestion: Suggestion, kind: str) -> bytes:
    """The figure of suggested groups, as `png` or `svg`."""
    from mmdet_multigrain.report.groups.figure import suggested_groups
    from mmdet_multigrain.visualization.style import render, warn_of_missing_letters

    warn_of_missing_letters(suggestion.taxonomy.classes)
    return render(suggested_groups, suggestion)[kind]


def describe_openimages(path: Path, descriptions: Path | None, node: str | None) -> list[str]:
    """How the hierarchy was read, as comments for the file's head."""
    hierarchy = openimages.read(path, descriptions)
    lines = [f'From {path.name}: all classes' + (f' below {node}.' if node else '.')]
    if choices := hierarchy.choices(node):
        lines.append(f'A node with several parents goes to {openimages.RULE}:')
    for name, (chosen, *others) in choices.items():
        lines.append(f'- {name}: {chosen} (not {", ".join(others)})')
    return lines


def summarize(taxonomy: Taxonomy) -> str:
    """A line of numbers."""
    groups = {
        (tree, path[:depth])
        for tree, paths in taxonomy.forest.items()
        for path in paths
        for depth in range(1, len(path) + 1)
    }
    trees = f'{len(taxonomy.trees)} trees ({", ".join(taxonomy.trees)}), ' if taxonomy.trees else ''
    alone = sum(not any(paths) for paths in zip(*taxonomy.forest.values(), strict=True))
    return (
        f'{taxonomy.name}: {taxonomy.num_classes} classes, {trees}{len(groups)} groups, '
        f'{taxonomy.num_levels} levels, {alone} classes without a group'
    )


def main() -> None:
    args = parse_args()
    path = args.input[0]
    outputs = [args.out, args.figure]
    outputs += [args.controls / f'{name}.yaml' for name in CONTROLS] if args.controls else []
    read = args.descriptions, args.train_ann_file, args.taxonomy, args.config
    read = *args.input, *read, *(args.evaluated_on or ())
    launch.check_outputs(outputs, inputs=read, replace=args.force)
    comments, notes = [], []
    if args.source == 'coco':
        taxonomy, notes = read_coco(args.input, args.coarse)
        comments = [f'From {", ".join(path.name for path in args.input)}.', *notes]
    elif args.source == 'openimages':
        taxonomy = Taxonomy.from_openimages(path, args.descriptions, args.node)
        comments = describe_openimages(path, args.descriptions, args.node)
    elif args.source == 'yaml':
        taxonomy = read_yaml(path)
    else:
        suggestion, notes = read_suggestion(args)
        taxonomy = suggestion.taxonomy
        notes += suggestion.lines()
        name = Path(str(path).rsplit(':', 1)[0]).name  # of DETECTIONS.json:GROUND_TRUTH.json
        comments = [f'From {name}, by {args.source}.', *notes]
    others = controls(taxonomy) if args.controls else {}
    head = ''.join(f'# {printable(line)}\n' for line in comments)
    text = (f'{head}#\n' if head else '') + taxonomy.to_yaml()
    files = {args.out: text.encode()} if args.out else {}
    if args.figure:
        files[args.figure] = draw(suggestion, args.figure.suffix[1:])
    files |= {args.controls / f'{name}.yaml': o.to_yaml().encode() for name, o in others.items()}
    write_together(files.items())
    if not args.out:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding='utf-8')  # it may become a file, which is read as such
        sys.stdout.write(text)
    for note in notes:
        print(note, file=sys.stderr)
    print(summarize(taxonomy) + (f' -> {args.out}' if args.out else ''), file=sys.stderr)
    if others:
        print(f'controls: {args.controls}/{{{",".join(others)}}}.yaml', file=sys.stderr)


if __name__ == '__main__':
    launch.run_tool(main)
