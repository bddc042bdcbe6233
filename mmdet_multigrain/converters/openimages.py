"""Open Images' release -> COCO JSON: the boxes of chosen classes, by default of clothing.

The release has one CSV file of boxes for each split, with normalized coordinates, e.g.
`train-annotations-bbox.csv`. How its rows are read is in `openimages_rows`, which are wanted
in `openimages_selection`, where image sizes come from in `openimages_sizes`.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from mmdet_multigrain.coco.writer import ConversionSummary, is_up_to_date
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConverterError
from mmdet_multigrain.utils.files import write_whole
from mmdet_multigrain.utils.messages import show, show_list

from .openimages_files import name_and_size
from .openimages_labels import FIELDS, image_fields, read_absent
from .openimages_rows import add_rows, leave_out, read_rows
from .openimages_selection import CLOTHING, Selection, load_selection
from .openimages_sizes import IMAGE_SUFFIX, sizes_of_csv, sizes_of_files
from .openimages_writer import CONFIDENCE, DECIMALS, FLAGS, OPTIONAL, TEXTS, in_pixels, write_boxes

FORMAT_VERSION = 1  # raise it when the same release no longer gives the same bytes
GROUP_OF, COARSE = ('crowd', 'drop'), ('drop', 'keep')
COORDINATES = {'XMin': 'x1', 'XMax': 'x2', 'YMin': 'y1', 'YMax': 'y2'}
REQUIRED = ('ImageID', 'LabelName', *COORDINATES)
WRONG_COLUMNS = 1 / 3  # of the boxes reversed, or far outside, is no accident
WRONG_NUMBERS = {
    'reversed': 'have XMin > XMax or YMin > YMax; the columns look swapped: correct their names in '
    'the first line',
    'beyond': 'reach beyond 2; they look like pixels: divide the coordinates by the width and height '
    'of the image',
}
#: Boxes of all classes and of the grouped ones: arXiv 2101.06770, section 3.1 and table 4.
PAPER_BOXES = {'train': (490_777, 306_374), 'validation': (3_897, None)}


@dataclass
class OpenImagesSummary(ConversionSummary):
    """A conversion of Open Images."""

    # boxes per label in the CSV file, whether they could be used or not
    rows: Counter[int] = field(default_factory=Counter)
    missing_file: Path | None = None  # the list of the images that were left out, if it was written
    # pairs of an image and a class that is absent, or annotated in part, as verified labels tell
    partly: list[int] | None = None

    def __str__(self) -> str:
        lines = [super().__str__()]
        if self.missing_file is not None:
            lines.append(f'  all images that were left out: {self.missing_file}')
        if self.partly is not None:
            text = '  classes verified to be absent: {:,}, annotated in part: {:,} (of all images)'
            lines.append(text.format(*self.partly))
        if not self.up_to_date:
            lines += _compare_with_paper(self.split, self.taxonomy, self.rows)
        return '\n'.join(lines)


def _compare_with_paper(split: str, taxonomy: Taxonomy, rows: Counter[int]) -> list[str]:
    """Whether the CSV file has the paper's numbers of boxes: then it used these classes."""
    clothing = Taxonomy.load(CLOTHING)
    if split not in PAPER_BOXES or taxonomy.classes != clothing.classes:
        return []
    every = range(taxonomy.num_classes)
    grouped = [label for label in every if clothing.paths[label]]
    parts = {f'all {len(every)} classes': every, f'the {len(grouped)} grouped classes': grouped}
    lines = []
    for (what, labels), paper in zip(parts.items(), PAPER_BOXES[split], strict=True):
        if paper is not None:
            count = sum(rows[label] for label in labels)
            verdict = 'they agree' if count == paper else f'they differ by {count - paper:+,}'
            lines.append(
                f'boxes of {what}: {count:,} in the CSV file, {paper:,} in the paper: {verdict}'
            )
    return lines


def convert(
    boxes_csv: str | Path,
    out_file: str | Path,
    *,
    split: str,
    images: str | Path | None = None,
    image_sizes: str | Path | None = None,
    selection: Selection | None = None,
    group_of: str = 'crowd',
    coarse: str = 'drop',
    image_labels: str | Path | None = None,
    workers: int | None = None,
    force: bool = False,
    progress: bool = True,
) -> OpenImagesSummary:
    """Convert one split of the release to a COCO file.

    Images are in the order of their ImageID and only those with boxes; the boxes of an image in
    the order of the CSV file, clipped to the image. All classes are listed with their superclass as
    `supercategory`. Unusable data and missing images are left out and counted in the summary; many
    missing images are listed in `{out_file}.missing.txt`. The same data and options give the same
    bytes.

    Args:
        boxes_csv: E.g. `train-annotations-bbox.csv`; columns are found by name.
        out_file: The COCO file. Written atomically.
        split: `train`, `validation` or `test`.
        images: Folder with `{ImageID}.jpg`, to read their sizes.
        image_sizes: Instead: a CSV file with the columns ImageID, Width, Height.
        selection: The classes; default: those of `openimages_v4_clothing`.
        group_of: Boxes of groups (IsGroupOf): `crowd` marks them iscrowd, `drop` leaves them out.
        coarse: Boxes of a superclass (Footwear): `drop`, or `keep` them as a category of the
            smallest group that holds its classes.
        image_labels: CSV of verified image labels; images then tell which classes they annotate.
        workers: Processes that read image sizes; default: as many as there are cores.
        force: Convert even if `out_file` is up to date.
        progress: Show progress bars.

    Raises:
        ConverterError: A file or a folder cannot be read or is something else, or no box is left.
        FileError: The file cannot be written.
    """
    if (images is None) == (image_sizes is None):
        raise ConverterError(
            'image sizes are needed from one place: a folder of images or a CSV '
            'file; give --images or --image-sizes'
        )
    boxes_csv, out_file = Path(boxes_csv), Path(out_file)
    sizes_from = Path(images if image_sizes is None else image_sizes)
    selection = load_selection() if selection is None else selection
    summary = OpenImagesSummary(split, out_file, selection.taxonomy)
    problems = summary.problems
    started_at = time.time_ns()
    info = {
        'description': f'Open Images, {split} split, {selection.taxonomy.name}',
        'format_version': FORMAT_VERSION,
        'boxes': name_and_size(boxes_csv, IMAGE_SUFFIX),
        'sizes': name_and_size(sizes_from, IMAGE_SUFFIX),
        'selection': selection.digest(),
        'group_of': group_of,
        **({'coarse': coarse} if coarse == 'keep' else {}),
    }
    sources = [boxes_csv, sizes_from]
    if image_labels is not None:
        sources.append(Path(image_labels))
        info['image_labels'] = name_and_size(sources[-1], IMAGE_SUFFIX)
    if coarse == 'keep' and not selection.inner:
        raise ConverterError(
            f'{boxes_csv}: which LabelNames are superclasses of {show(selection.taxonomy.name)} the '
            'class hierarchy tells; name bbox_labels_600_hierarchy.json (--hierarchy)'
        )
    if not force and is_up_to_date(out_file, info, sources):
        summary.up_to_date = True
        return summary
    left_out: list[pl.DataFrame] = []
    options = dict(group_of=group_of, coarse=coarse, left_out=left_out, progress=progress)
    boxes = read_boxes(boxes_csv, selection, summary=summary, **options)
    image_ids = boxes['ImageID'].unique().sort()
    if image_sizes is None:
        sizes = sizes_of_files(
            image_ids, sizes_from, problems=problems, workers=workers, progress=progress
        )
    else:
        sizes = sizes_of_csv(image_ids, sizes_from, problems=problems, progress=progress)
    boxes = boxes.join(sizes, on='ImageID').sort('ImageID', 'line').with_columns(in_pixels())
    boxes = leave_out(
        boxes,
        (pl.col('w') <= 0) | (pl.col('h') <= 0),
        problems,
        f'box narrower than {10**-DECIMALS} px',
        lambda row: f'{boxes_csv.name} line {row["line"]}',
    )
    if not len(boxes):
        raise ConverterError(
            f'{sizes_from}: has the size of none of the {len(image_ids):,} '
            f'images with boxes{problems.first()}'
        )
    fields = boxes.select(pl.col('ImageID').unique())
    if image_labels is not None:
        absent = read_absent(image_labels, selection, problems=problems, progress=progress)
        fields = image_fields(boxes, pl.concat(left_out), absent, selection)
        summary.partly = [int(fields[name].list.len().sum()) for name in FIELDS]
    summary.num_images = write_boxes(
        boxes, fields, out_file, info, selection.taxonomy, progress=progress
    )
    per_label = boxes.group_by('label').agg(pl.len(), pl.col('ImageID').n_unique().alias('images'))
    for label, num_boxes, num_images in per_label.iter_rows():
        summary.boxes[label], summary.images[label] = num_boxes, num_images
    absent = image_ids.filter(~image_ids.is_in(sizes['ImageID'].implode()))
    missing_file = out_file.with_name(f'{out_file.name}.missing.txt')
    if len(absent) > problems.max_examples:
        write_whole(missing_file, ''.join(f'{name}{IMAGE_SUFFIX}\n' for name in absent).encode())
        summary.missing_file = missing_file
    else:
        missing_file.unlink(missing_ok=True)  # of an earlier run
    os.utime(out_file, ns=(started_at, started_at))  # what changes from now on is newer
    return summary


def read_boxes(
    path: str | Path,
    selection: Selection,
    *,
    summary: OpenImagesSummary,
    group_of: str = 'crowd',
    coarse: str = 'drop',
    left_out: list[pl.DataFrame] | None = None,
    progress: bool = False,
) -> pl.DataFrame:
    """Read the wanted boxes of a CSV file; unusable ones are counted with their lines.

    `rows` and `problems` of the summary are filled, and `left_out` gets `ImageID` and `LabelName`
    of what `group_of` and `coarse` leave out. For other arguments see `convert`.

    Returns:
        A frame of `ImageID`, `line`, `label`, `x1`, `x2`, `y1`, `y2` (0 to 1), and what
        the file has of `FLAGS`, `CONFIDENCE` and `TEXTS`, under their COCO names.

    Raises:
        ConverterError: The file cannot be read, columns are missing or look swapped, or no box is
            left.
    """
    path = Path(path)
    found, seen, left_out = [], Counter(), [] if left_out is None else left_out
    kept = {**selection.labels, **(selection.coarse if coarse == 'keep' else {})}
    options = dict(problems=summary.problems, progress=progress)
    names = {*selection.labels, *selection.inner}
    for rows in read_rows(path, REQUIRED, [*OPTIONAL], containing=names, **options):
        of_superclass = rows.filter(pl.col('LabelName').is_in(list(selection.inner.keys() - kept)))
        left_out.append(of_superclass['ImageID', 'LabelName'])
        add_rows(
            summary.problems,
            'box of a superclass only',
            of_superclass,
            lambda row: f'{path.name} line {row["line"]} {selection.inner[row["LabelName"]]}',
        )
        rows = rows.with_columns(
            label=pl.col('LabelName').replace_strict(kept, default=None, return_dtype=pl.Int32)
        ).drop_nulls('label')
        summary.rows.update(dict(rows.group_by('label').len().iter_rows()))
        found.append(_usable(rows, path, summary, seen, group_of))
        left_out.append(rows.join(found[-1], on='line', how='anti')['ImageID', 'LabelName'])
    for kind, problem in WRONG_NUMBERS.items():
        if seen[kind] > seen['boxes'] * WRONG_COLUMNS:
            raise ConverterError(f'{path}: {seen[kind]:,} of {seen["boxes"]:,} boxes {problem}')
    boxes = pl.concat(found) if found else pl.DataFrame()
    if not len(boxes):
        raise ConverterError(
            f'{path}: no usable box of the {selection.taxonomy.num_classes} classes of '
            f'{show(selection.taxonomy.name)}, that is, with LabelName '
            f'{show_list(selection.labels)}{summary.problems.first()}'
        )
    return boxes


def _usable(
    rows: pl.DataFrame, path: Path, summary: OpenImagesSummary, seen: Counter[str], group_of: str
) -> pl.DataFrame:
    """Numbers instead of text; rows that cannot be used are counted and left out."""
    flags = {name: new for name, new in FLAGS.items() if name in rows.columns}
    confidence = {name: new for name, new in CONFIDENCE.items() if name in rows.columns}
    rows = rows.with_columns(
        pl.col(name).cast(pl.Float64, strict=False).alias(new)
        for name, new in {**COORDINATES, **flags, **confidence}.items()
    )

    def drop(kind: str, bad: pl.Expr, shown: Iterable[str]) -> None:
        nonlocal rows

        def describe(row: dict[str, Any]) -> str:
            return f'{path.name} line {row["line"]} {show(",".join(row[name] for name in shown))}'

        rows = leave_out(rows, bad, summary.problems, kind, describe)

    def not_number(names: Iterable[str]) -> pl.Expr:
        return ~pl.all_horizontal(pl.col(name).is_finite().fill_null(False) for name in names)

    x1, x2, y1, y2 = map(pl.col, COORDINATES.values())
    drop('row without an ImageID', pl.col('ImageID') == '', ['LabelName'])
    drop('ImageID that is not a file name', pl.col('ImageID').str.contains(r'[/\\]'), ['ImageID'])
    drop('coordinate that is not a number', not_number(COORDINATES.values()), COORDINATES)
    seen['boxes'] += len(rows)
    seen['reversed'] += len(rows.filter((x1 > x2) | (y1 > y2)))
    seen['beyond'] += len(rows.filter(pl.max_horizontal(x1, x2, y1, y2) > 2))
    drop('empty or reversed box', (x1 >= x2) | (y1 >= y2), COORDINATES)
    drop('box outside the image', (x1 >= 1) | (x2 <= 0) | (y1 >= 1) | (y2 <= 0), COORDINATES)
    for name, new in flags.items():
        is_flag = pl.col(new).is_in([-1.0, 0.0, 1.0]).fill_null(False)
        drop(f'{name} that is not 1, 0 or -1', ~is_flag, [name])
    for name, new in confidence.items():
        drop(f'{name} that is not a number', not_number([new]), [name])
    if group_of == 'drop':
        if 'IsGroupOf' not in flags:
            raise ConverterError(
                f'{path}: no column IsGroupOf; without it no box is known to be '
                'of a group: leave out --group-of drop'
            )
        drop('box of a group (--group-of drop)', pl.col('is_group_of') == 1, COORDINATES)
    return rows.select(
        'ImageID',
        'line',
        'label',
        pl.col(list(COORDINATES.values())).clip(0, 1),
        *(pl.col(new).cast(pl.Int8) for new in flags.values()),
        *confidence.values(),
        *(pl.col(name).alias(new) for name, new in TEXTS.items() if name in rows.columns),
    )
