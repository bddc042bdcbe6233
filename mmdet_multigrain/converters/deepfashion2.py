"""DeepFashion2's release -> COCO JSON.

The release has one annotation file per image::

    ROOT/{train,validation}/image/000001.jpg
    ROOT/{train,validation}/annos/000001.json

with the keys `source`, `pair_id` and `item1`, `item2`, ... Here are the folders of a split, the
processes, and whether there is anything to do; files and items are in `deepfashion2_items`.
"""

from __future__ import annotations

import functools
import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from mmdet_multigrain.coco.writer import ConversionSummary, is_up_to_date, open_coco
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConverterError
from mmdet_multigrain.utils.images import IMAGE_SUFFIXES
from mmdet_multigrain.utils.parallel import chunked, default_workers, map_ordered
from mmdet_multigrain.utils.problems import Problems
from mmdet_multigrain.utils.progress import progress_bar

from .deepfashion2_items import CategoryIds, convert_files

SPLITS = ('train', 'validation')
LAYOUT = 'ROOT/{train,validation}/image/*.jpg and ROOT/{train,validation}/annos/*.json'
FORMAT_VERSION = 1  # raise it when the same release no longer gives the same bytes
CHUNK = 250  # files that a process converts at a time
MIN_SHARED = 8 * CHUNK  # fewer files are converted sooner than other processes start
_NOT_UTF8 = re.compile('[\ud800-\udfff]')  # bytes that cannot be decoded, as Python names them


def find_folders(root: str | Path, split: str) -> tuple[Path, Path]:
    """The image and the annotation folder of a split; a ConverterError if one is not there."""
    folders = Path(root) / split / 'image', Path(root) / split / 'annos'
    for folder in folders:
        if not folder.is_dir():
            raise ConverterError(f'{folder}: no such folder; DeepFashion2 is unpacked as {LAYOUT}')
    return folders


def _files_by_stem(
    names: Iterable[str], suffixes: tuple[str, ...], problems: Problems
) -> dict[str, str]:
    """Names of files by their stems; hidden files, as archivers leave, are left out."""
    names = [name for name in names if name.lower().endswith(suffixes) and name[0] != '.']
    if not ''.join(names).isascii():
        for name in sorted(filter(_NOT_UTF8.search, names)):
            problems.add('file name that is not UTF-8', name)
        names = [name for name in names if not _NOT_UTF8.search(name)]
    names.sort(reverse=True)
    files = {name.rpartition('.')[0]: name for name in names}  # of several, the first by name
    for name in sorted({*names} - {*files.values()} if len(files) < len(names) else ()):
        used = files[name.rpartition('.')[0]]
        problems.add('second file of the same name', f'{name} ({used} is used)')
    return files


def pair_files(
    image_names: Iterable[str], anno_names: Iterable[str], problems: Problems
) -> Iterator[tuple[str, str]]:
    """The names of each annotation file and its image, in order; files without the other are counted."""
    images = _files_by_stem(image_names, IMAGE_SUFFIXES, problems)
    annos = _files_by_stem(anno_names, ('.json',), problems)
    for stem in sorted(images.keys() - annos.keys()):
        problems.add('image without annotation file', images[stem])
    for stem in sorted(annos.keys() - images.keys()):
        problems.add('annotation file without image', annos.pop(stem))
    for stem, name in sorted(annos.items()):
        yield name, images[stem]


def convert(
    root: str | Path,
    split: str,
    out_file: str | Path | None = None,
    *,
    with_segmentation: bool = False,
    workers: int | None = None,
    force: bool = False,
    progress: bool = True,
) -> ConversionSummary:
    """Convert one split of the release to a COCO file.

    Images are in the order of their names, annotation ids count from 1, all 13 categories are
    listed with their superclass as `supercategory`. Unusable data is left out and counted in the
    summary, and so is an image without a usable item, which would teach that its garments are
    background. The same release and options give the same bytes, with any number of processes.

    Args:
        root: Folder with `train` and `validation`.
        split: `train` or `validation`.
        out_file: Default `ROOT/annotations/{split}.json`. Written atomically.
        with_segmentation: Keep the polygons (the file grows several times).
        workers: Processes; default: as many as there are cores, and none for few files.
        force: Convert even if `out_file` is up to date.
        progress: Show a progress bar.

    Raises:
        ConverterError: A folder is missing, or no box is left.
        WorkerError: A worker process was killed.
        FileError: The file cannot be written.
    """
    folders = image_folder, anno_folder = find_folders(root, split)
    out_file = Path(out_file or Path(root) / 'annotations' / f'{split}.json')
    taxonomy = Taxonomy.load('deepfashion2')
    summary = ConversionSummary(split, out_file, taxonomy)
    info = {
        'description': f'DeepFashion2, {split} split',
        'format_version': FORMAT_VERSION,
        'with_segmentation': with_segmentation,
    }
    if not force and is_up_to_date(out_file, info, folders):
        summary.up_to_date = True
        return summary
    started_at = time.time_ns()
    image_names, anno_names = map(os.listdir, folders)
    count = len(anno_names)
    if workers is None:
        workers = default_workers() if count > MIN_SHARED else 1
    work = functools.partial(
        convert_files,
        anno_folder=str(anno_folder),
        image_folder=str(image_folder),
        ids=CategoryIds(taxonomy.classes),
        with_segmentation=with_segmentation,
    )
    # A generator, first asked within the block: the processes start while this one sorts names.
    names = pair_files(image_names, anno_names, summary.problems)
    boxes, with_box = Counter(), Counter()  # by category id
    with (
        map_ordered(work, chunked(names, CHUNK), workers=workers) as chunks,
        open_coco(out_file, info, taxonomy) as coco,
        progress_bar(total=count, desc=split, unit='file', show=progress) as bar,
    ):
        for converted in chunks:
            coco.add_all(converted.images, converted.annotations, converted.counts)
            boxes.update(converted.boxes)
            with_box.update(converted.with_box)
            summary.problems.update(converted.problems)
            bar.update(min(CHUNK, count - bar.n))
        if not coco.num_annotations:
            raise ConverterError(
                f'{anno_folder}: no usable box in {count} files' + summary.problems.first()
            )
    summary.num_images = coco.num_images
    summary.boxes = Counter({number - 1: count for number, count in boxes.items()})
    summary.images = Counter({number - 1: count for number, count in with_box.items()})
    os.utime(out_file, ns=(started_at, started_at))  # what changes from now on is newer
    return summary
