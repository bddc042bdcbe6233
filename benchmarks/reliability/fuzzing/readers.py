"""Every reader as the command lines use it, and the files that are made up for it.

A reader gets a folder with its files and does with them what a user's call would do. What counts
as a failure belongs in `harness`.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import json
import logging
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

from hypothesis import strategies as st
from PIL import Image

from mmdet_multigrain.coco.annotations import AnnotationFile
from mmdet_multigrain.launch import quiet_imports
from mmdet_multigrain.taxonomy import Taxonomy

from . import documents
from .mutations import as_json, as_yaml, damaged, damaged_bytes, damaged_table

TOOLS = Path(__file__).resolve().parents[3] / 'tools'
Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Reader:
    """A reader and its input.

    Attributes:
        what: What it reads, for people.
        files: Content of each file by its name, drawn.
        read: Called with the folder of the files; returns when they were accepted.
        outputs: Names of the files that it may write when it accepts them; none if it refuses.
        names_file: Whether its messages name the file.
    """

    what: str
    files: st.SearchStrategy[Files]
    read: Callable[[Path], None]
    outputs: Collection[str] = ()
    names_file: bool = True


def call(tool: str, *arguments: object) -> str:
    """Run the `main` of tools/<tool>.py in this process; what it printed.

    Raises:
        SystemExit: With another status than 0 (fine) and 1 (something was found in the data).
    """
    out = io.TextIOWrapper(io.BytesIO(), encoding='utf-8')  # as strict as a terminal
    with (
        mock.patch.object(sys, 'argv', [tool, *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        try:
            _tool(tool).main()
        except SystemExit as stop:
            if stop.code not in (None, False, True):
                raise
    out.flush()
    return out.buffer.getvalue().decode()


@functools.cache
def _tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f'fuzzed_{Path(name).stem}', TOOLS / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def _photo() -> bytes:
    file = io.BytesIO()
    Image.new('RGB', documents.IMAGE_SIZE).save(file, 'JPEG')
    return file.getvalue()


@functools.cache
def _garments() -> Taxonomy:
    return Taxonomy.load(documents.TAXONOMY)


def _fixed(name: str) -> bytes:
    return {
        'coco': lambda: json.dumps(documents.fixed_coco()).encode(),
        'boxes': lambda: as_table(
            [
                ['ImageID', 'LabelName', 'XMin', 'XMax', 'YMin', 'YMax'],
                *(
                    [f'000{number}', name, 0.1, 0.5, 0.2, 0.6]
                    for number, name in enumerate(documents.LABEL_NAMES, 1)
                ),
            ]
        ),
        'sizes': lambda: b'ImageID,Width,Height\n0001,640,480\n0002,640,480\n0003,9,9\n',
        'descriptions': lambda: as_table([*documents.LABEL_NAMES.items()]),
        'taxonomy': lambda: as_yaml(documents.TAXONOMY),
    }[name]()


def as_table(rows: list[Any]) -> bytes:
    """A CSV file of rows."""
    return ''.join(','.join(map(str, row)) + '\n' for row in rows).encode()


def _json(documents_: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    return damaged_bytes(damaged(documents_).map(as_json))


def _table(tables: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    return damaged_bytes(damaged_table(tables))


def _one(
    name: str, content: st.SearchStrategy[bytes], **others: bytes | st.SearchStrategy[bytes]
) -> st.SearchStrategy[Files]:
    """A damaged file, and others beside it; in their names two underscores stand for a dot."""
    return st.fixed_dictionaries(
        {
            name: content,
            **{
                other.replace('__', '.'): st.just(content)
                if isinstance(content, bytes)
                else content
                for other, content in others.items()
            },
        }
    )


# ------------------------------------------------------------------ taxonomies


def _read_yaml(folder: Path) -> None:
    taxonomy = Taxonomy.load(folder / 'x.yaml')
    out = folder / 'out.yaml'
    call('make_taxonomy', '--from', 'yaml', folder / 'x.yaml', '--out', out)
    assert Taxonomy.load(out) == taxonomy, 'the written file reads as another taxonomy'


def _read_mapping(folder: Path) -> None:
    # As a config gives it: what JSON can hold, and tuples.
    try:
        mapping = json.loads((folder / 'x.json').read_bytes())
    except (ValueError, RecursionError):
        return
    taxonomy = Taxonomy.load({'groups': mapping} if isinstance(mapping, list) else mapping)
    assert Taxonomy.load(taxonomy.to_dict()) == taxonomy
    hash(taxonomy)


def _read_supercategories(folder: Path) -> None:
    call('make_taxonomy', '--from', 'coco', folder / 'x.json', '--out', folder / 'out.yaml')
    Taxonomy.load(folder / 'out.yaml')


# ------------------------------------------------------------------ COCO files


def _read_annotations(folder: Path) -> None:
    from mmdet_multigrain.evaluation import evaluate_levels
    from mmdet_multigrain.report.runs.inputs import TestSet, read_detections

    taxonomy = _garments()
    AnnotationFile(folder / 'x.json', taxonomy=taxonomy, allow_missing=True, allow_unknown=True)
    test_set = TestSet(folder / 'x.json', taxonomy, lenient=False)
    assert len(test_set.digest) == 64 and len(test_set.file_names) <= len(
        test_set.annotations.dataset['images']
    )
    (folder / 'dets.json').write_bytes(b'[]')
    detections = read_detections(folder / 'dets.json', test_set)
    (folder / 'dets.json').unlink()
    evaluate_levels(test_set.ground_truth, detections, [taxonomy.group_index(1)])


def _read_dataset(folder: Path) -> None:
    with quiet_imports():
        from mmdet_multigrain.datasets import SuperclassCocoDataset

    logging.disable(logging.INFO)  # it tells what each file holds
    try:
        dataset = SuperclassCocoDataset(
            'x.json',
            taxonomy=_garments(),
            data_root=str(folder),
            data_prefix=dict(img='./'),
            pipeline=[],
            filter_cfg=dict(filter_empty_gt=True, min_size=1),
            serialize_data=False,
        )  # it collects garbage, which takes most of the time
        for number in range(len(dataset)):
            dataset.get_data_info(number)
    finally:
        logging.disable(logging.NOTSET)


def _check_dataset(folder: Path) -> None:
    options = ['--taxonomy', folder / 't.yaml'] if (folder / 't.yaml').exists() else []
    call('check_dataset', folder / 'x.json', '--json', folder / 'report.json', *options)
    json.loads((folder / 'report.json').read_bytes())


def _fix_dataset(folder: Path) -> None:
    photos = folder / 'root'
    photos.mkdir()
    for number in range(1, 9):  # there is no ninth
        (photos / f'{number}.jpg').write_bytes(_photo())
    call(
        'check_dataset',
        folder / 'x.json',
        folder / 'y.json',
        '--images',
        photos,
        '--workers',
        1,
        '--fix',
        folder / 'fixed',
    )
    for split in ('train', 'val'):
        json.loads((folder / 'fixed' / f'{split}.json').read_bytes().decode())


def _read_statistics(folder: Path) -> None:
    call('analysis_tools/dataset_stats', folder / 'x.json', '--taxonomy', folder / 't.yaml')


# ------------------------------------------------------------------ releases


def _convert_deepfashion2(folder: Path) -> None:
    for name in ('image', 'annos'):
        (folder / 'root' / 'train' / name).mkdir(parents=True)
    for number in (1, 2):
        (folder / f'{number}.json').rename(folder / f'root/train/annos/{number}.json')
        (folder / f'root/train/image/{number}.jpg').write_bytes(_photo())
    call(
        'dataset_converters/deepfashion2',
        folder / 'root',
        '--splits',
        'train',
        '--workers',
        1,
        '--with-segmentation',
        '--out-dir',
        folder / 'out',
    )
    json.loads((folder / 'out' / 'train.json').read_bytes().decode())


def _convert_openimages(folder: Path) -> None:
    call(
        'dataset_converters/openimages_v4',
        folder / 'boxes.csv',
        '--split',
        'train',
        '--image-sizes',
        folder / 'sizes.csv',
        '--out',
        folder / 'out.json',
        '--taxonomy',
        folder / 't.yaml',
        '--descriptions',
        folder / 'descriptions.csv',
        *(
            ['--hierarchy', folder / 'hierarchy.json']
            if (folder / 'hierarchy.json').exists()
            else []
        ),
    )
    json.loads((folder / 'out.json').read_bytes().decode())


def _read_hierarchy(folder: Path) -> None:
    call(
        'make_taxonomy',
        '--from',
        'openimages',
        folder / 'hierarchy.json',
        '--descriptions',
        folder / 'descriptions.csv',
        '--out',
        folder / 'out.yaml',
    )
    Taxonomy.load(folder / 'out.yaml')


# ------------------------------------------------------------------ results


def _report(folder: Path, *specs: object, **options: object) -> None:
    """All of a report but its figures, which take a second each."""
    from mmdet_multigrain.report.runs.comparison import compare
    from mmdet_multigrain.report.runs.diagnostics import diagnose_variants
    from mmdet_multigrain.report.runs.load import load_runs
    from mmdet_multigrain.report.runs.names import shorten_variants
    from mmdet_multigrain.report.runs.render import render_files
    from mmdet_multigrain.report.runs.report import runs_document

    runs = shorten_variants(load_runs(specs, **options))
    compared = compare(runs, resamples=0)
    with mock.patch(
        'mmdet_multigrain.visualization.style.render', return_value={'svg': b'<svg></svg>'}
    ):
        files = render_files(runs_document(runs, compared, diagnose_variants(runs)))
    for content in files.values():
        content.decode()


def _read_result(folder: Path) -> None:
    from mmdet_multigrain.evaluation import read_result, write_result

    result = read_result(folder / 'result.json')
    write_result(folder / 'again.json', result)
    assert read_result(folder / 'again.json').taxonomy == result.taxonomy
    (folder / 'again.json').unlink()
    _report(folder, folder / 'result.json')
    _report(folder, folder / 'result.json', f'other={folder / "whole.json"}')


def _read_detections(folder: Path) -> None:
    from mmdet_multigrain.report.gallery.browse import Choice
    from mmdet_multigrain.report.gallery.cases import find_cases
    from mmdet_multigrain.report.runs.load import load_runs

    spec = f'{folder / "dets.json"}:{folder / "val.json"}'
    (run,) = load_runs([spec])
    find_cases(run.ground_truth, run.detections, run.result.taxonomy, score_thr=Choice().score_thr)
    _report(folder, spec)


_COCO = _json(documents.coco_files())
_YAML = damaged_bytes(
    st.sampled_from([as_yaml, as_json]).flatmap(
        lambda write: damaged(documents.taxonomies()).map(write)
    )
)
_SIZES, _DESCRIPTIONS = _fixed('sizes'), _fixed('descriptions')
_CLOTHES = as_yaml(
    {'name': 'clothes', 'groups': {'top': ['Shirt'], 'bottom': ['Skirt']}, 'ungrouped': ['Hat']}
)

READERS: dict[str, Reader] = {
    'taxonomy-yaml': Reader(
        'taxonomy (YAML), make_taxonomy --from yaml',
        _one('x.yaml', _YAML),
        _read_yaml,
        ['out.yaml'],
    ),
    'taxonomy-mapping': Reader(
        'taxonomy (mapping in a config)',
        _one('x.json', damaged(documents.taxonomies()).map(as_json)),
        _read_mapping,
        names_file=False,
    ),
    'taxonomy-coco': Reader(
        'supercategories of a COCO file, make_taxonomy --from coco',
        _one('x.json', _COCO),
        _read_supercategories,
        ['out.yaml'],
    ),
    'coco': Reader(
        'COCO annotations, for evaluation and report', _one('x.json', _COCO), _read_annotations
    ),
    'coco-dataset': Reader('COCO annotations, for training', _one('x.json', _COCO), _read_dataset),
    'check-dataset': Reader(
        'COCO annotations, check_dataset',
        st.one_of(_one('x.json', _COCO), _one('x.json', _COCO, t__yaml=_fixed('taxonomy'))),
        _check_dataset,
        ['report.json'],
    ),
    'fix-dataset': Reader(
        'COCO annotations of two splits, check_dataset --fix',
        _one('x.json', _COCO, y__json=_COCO),
        _fix_dataset,
        ['fixed/train.json', 'fixed/val.json'],
    ),
    'dataset-stats': Reader(
        'COCO annotations, dataset_stats',
        _one('x.json', _COCO, t__yaml=_fixed('taxonomy')),
        _read_statistics,
    ),
    'deepfashion2': Reader(
        'DeepFashion2 annotation files',
        _one(
            '1.json',
            _json(documents.deepfashion2_items()),
            **{
                '2__json': st.one_of(
                    _json(documents.deepfashion2_items()),
                    documents.deepfashion2_items().map(as_json),
                )
            },
        ),
        _convert_deepfashion2,
        ['out/train.json'],
    ),
    'openimages-boxes': Reader(
        'Open Images boxes (CSV)',
        _one(
            'boxes.csv',
            _table(documents.openimages_boxes()),
            sizes__csv=_SIZES,
            t__yaml=_CLOTHES,
            descriptions__csv=_DESCRIPTIONS,
        ),
        _convert_openimages,
        ['out.json'],
    ),
    'openimages-sizes': Reader(
        'Open Images image sizes (CSV)',
        _one(
            'sizes.csv',
            _table(documents.openimages_sizes()),
            boxes__csv=_fixed('boxes'),
            t__yaml=_CLOTHES,
            descriptions__csv=_DESCRIPTIONS,
        ),
        _convert_openimages,
        ['out.json'],
    ),
    'openimages-descriptions': Reader(
        'Open Images class descriptions (CSV)',
        _one(
            'descriptions.csv',
            _table(documents.descriptions()),
            boxes__csv=_fixed('boxes'),
            sizes__csv=_SIZES,
            t__yaml=_CLOTHES,
            hierarchy__json=documents.hierarchies().map(as_json),
        ),
        _convert_openimages,
        ['out.json'],
    ),
    'openimages-hierarchy': Reader(
        'Open Images hierarchy (JSON), make_taxonomy',
        _one('hierarchy.json', _json(documents.hierarchies()), descriptions__csv=_DESCRIPTIONS),
        _read_hierarchy,
        ['out.yaml'],
    ),
    'result': Reader(
        'result.json, report',
        _one(
            'result.json', _json(documents.results()), whole__json=documents.results().map(as_json)
        ),
        _read_result,
    ),
    'detections': Reader(
        "detections (COCO's results format), report and browse",
        _one('dets.json', _json(documents.detections()), val__json=_fixed('coco')),
        _read_detections,
    ),
}
