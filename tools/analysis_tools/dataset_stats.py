"""Statistics of COCO files: python tools/analysis_tools/dataset_stats.py TRAIN.json [VAL.json ...]

Prints boxes and images per class and superclass, box sizes, imbalance, the rarest 30% and what
class-balanced sampling would repeat. --out DIR keeps the tables (CSV, Markdown, JSON) and draws
class counts, the grouping and box sizes (PNG, SVG). --compare-paper compares the counts with
those of arXiv 2101.06770.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from pathlib import Path

try:
    from tqdm import tqdm

    from mmdet_multigrain import launch
    from mmdet_multigrain.coco.boxes import BoxColumns, box_columns, read_coco
    from mmdet_multigrain.coco.columns import MIN_IMAGE_SIDE
    from mmdet_multigrain.report.dataset import tables
    from mmdet_multigrain.report.dataset.paper_counts import compare_counts
    from mmdet_multigrain.report.dataset.stats import THRESHOLDS, DatasetStats, dataset_stats
    from mmdet_multigrain.report.runs.paper import DATASETS, load_paper
    from mmdet_multigrain.taxonomy import Taxonomy
    from mmdet_multigrain.utils.errors import ConfigError
    from mmdet_multigrain.utils.files import write_whole
except ImportError as error:
    raise SystemExit(f'error: {error}; fix: bash tools/setup.sh; . .venv/bin/activate') from None

LARGE_FILE = 20e6  # bytes; reading more takes long enough to tell
MANY_CLASSES = 200  # drawing more does, too


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Statistics of COCO files')
    parser.add_argument(
        'files', nargs='+', type=Path, metavar='FILE', help='COCO files, the training set first'
    )
    parser.add_argument(
        '--taxonomy',
        metavar='NAME|YAML|COCO',
        help="default: the supercategories of the first file's categories",
    )
    parser.add_argument('--out', type=Path, metavar='DIR', help='folder for tables and figures')
    parser.add_argument(
        '--config',
        type=Path,
        metavar='CONFIG.py',
        help='tell which boxes of the first file get no positive anchor with this config',
    )
    parser.add_argument(
        '--compare-paper', choices=DATASETS, help="compare the first file's boxes with the paper's"
    )
    parser.add_argument(
        '--oversample-thr',
        nargs='+',
        type=launch.number(lambda value: 0 < value <= 1, 'a fraction above 0 and up to 1'),
        default=THRESHOLDS,
        metavar='T',
        help=f'thresholds of ClassBalancedDataset; default: {" ".join(map(str, THRESHOLDS))}',
    )
    launch.add_force(parser)
    return parser.parse_args()


def split_names(paths: list[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart; without suffixes if these do not."""
    absolute = [Path(os.path.abspath(path)) for path in paths]
    path, times = Counter(absolute).most_common(1)[0]
    if times > 1:
        raise ConfigError(f'{paths[absolute.index(path)]}: given twice; name it once')
    bare = [path.with_suffix('') for path in absolute]
    absolute = bare if len(set(bare)) == len(bare) else absolute
    depth = 1
    while len({path.parts[-depth:] for path in absolute}) < len(absolute):
        depth += 1
    return ['/'.join(path.parts[-depth:]) for path in absolute]


def read(paths: list[Path], taxonomy: Taxonomy | None) -> list[BoxColumns]:
    """The boxes of all files, one file in memory at a time."""
    columns = []
    for path in paths:
        if path.is_file() and path.stat().st_size > LARGE_FILE:
            print(f'reading {path} ({path.stat().st_size / 1e6:,.0f} MB) ...', file=sys.stderr)
        coco = read_coco(path)
        if taxonomy is None:
            own = Taxonomy.from_coco(coco, source=path)
            taxonomy = Taxonomy(path.name, own.classes, own.paths)  # named in messages
        min_size = 0 if columns else MIN_IMAGE_SIDE  # smaller images stay in evaluation
        columns.append(box_columns(coco, taxonomy, path, min_size=min_size))
    return columns


def draw(stats: DatasetStats) -> dict[str, bytes]:
    """Content of each figure file by name."""
    # Here, because matplotlib takes a second to load and the table does not need it.
    from mmdet_multigrain.report.dataset.figures import box_sizes, class_counts, drawable
    from mmdet_multigrain.report.dataset.grouping_figure import grouping
    from mmdet_multigrain.visualization.style import render, warn_of_missing_letters

    warn_of_missing_letters((*stats.taxonomy.classes, *stats.taxonomy.group_names(0)))
    stats = drawable(stats)
    figures = {'class_counts': class_counts, 'box_sizes': box_sizes}
    if stats.is_grouped:
        figures['grouping'] = grouping
    few = stats.taxonomy.num_classes < MANY_CLASSES
    contents = {}
    for name, figure in tqdm(figures.items(), 'drawing', unit='figure', leave=False, disable=few):
        for kind, content in render(figure, stats).items():
            contents[f'{name}.{kind}'] = content
    return contents


def main() -> None:
    args = parse_args()
    launch.escape_unknown_letters()
    names = split_names(args.files)
    if args.out:
        main_files = [args.out / 'dataset_stats.json', args.out / 'dataset_stats.md']
        replace = args.force or all(path.is_file() for path in main_files)
        launch.check_outputs(main_files, inputs=args.files, replace=replace)
    paper = load_paper(args.compare_paper) if args.compare_paper else None
    taxonomy = Taxonomy.load(args.taxonomy) if args.taxonomy else None
    columns = read(args.files, taxonomy)
    stats = dataset_stats(list(zip(names, columns, strict=True)), sorted(set(args.oversample_thr)))
    comparison = None
    if paper is not None:
        counts = stats.train.counts, [row.crowds for row in stats.train.classes]
        comparison = compare_counts(paper, stats.taxonomy, *counts, source=args.files[0])
    print(tables.render_text(stats, comparison))
    coverage = None
    if args.config:
        coverage = launch.anchors_with(args.config, args.files[0], args.taxonomy)
        print(f'\n{coverage.text()}')
    if args.out is None:
        return
    content = tables.to_dict(stats, comparison)
    content = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + '\n'
    found = {'classes': tables.class_table(stats)}
    for level, table in enumerate(tables.superclass_tables(stats)):
        found[f'level{level}' if level else 'superclasses'] = table
    if stats.coarse_labels:
        found['superclass_only'] = tables.coarse_table(stats)
    if comparison is not None:
        found['paper_counts'] = comparison.table()
    if coverage is not None:
        found['anchors'] = coverage.table()
    texts = {f'{name}.csv': table.csv() for name, table in found.items()}
    texts['dataset_stats.md'] = tables.render_markdown(stats, comparison)
    texts['dataset_stats.json'] = content
    contents = {name: text.encode() for name, text in texts.items()} | draw(stats)
    launch.check_outputs([args.out / name for name in contents], inputs=args.files, replace=replace)
    for name, content in contents.items():
        write_whole(args.out / name, content)
    print(f'\nwritten to {args.out}: {", ".join(sorted(contents))}')


if __name__ == '__main__':
    launch.run_tool(main)
