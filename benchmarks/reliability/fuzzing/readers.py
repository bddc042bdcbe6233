"""Every reader as the command lines use it, and the files that are drawn for it.

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
import shlex
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from benchmarks.reliability.fuzzing import documents
from benchmarks.reliability.fuzzing.mutations import (
    as_json,
    as_table,
    as_yaml,
    damaged,
    damaged_bytes,
    damaged_table,
)
from mmdet_multigrain.coco.annotations import AnnotationFile
from mmdet_multigrain.launch import quiet_imports
from mmdet_multigrain.taxonomy import Taxonomy

TOOLS = Path(__file__).resolve().parents[3] / 'tools'
Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Reader:
    """A reader and its input."""

    what: str  # what it reads, for people
    files: st.SearchStrategy[Files]  # content of each file by its name, drawn
    # called with the folder of the files; returns when they were accepted
    read: Callable[[Path], None]
    # names of the files that it may write when it accepts them; none if it refuses
    outputs: Collection[str] = ()
    names_file: bool = True  # whether its messages name the file


def call(command: str) -> None:
    """Run a command line of tools/, without the .py of the tool, in this process.

    Raises:
        SystemExit: With a status other than 0 (fine) and 1 (something was found in the data).
    """
    tool, *arguments = shlex.split(command)
    out = io.TextIOWrapper(io.BytesIO(), encoding='utf-8')  # as strict as a terminal
    with (
        mock.patch.object(sys, 'argv', [tool, *arguments]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        try:
            _tool(tool).main()
        except SystemExit as stop:
            if stop.code not in (None, False, True):
                raise
    out.flush()


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


# ------------------------------------------------------------------ taxonomies


def _read_yaml(folder: Path) -> None:
    taxonomy = Taxonomy.load(folder / 'x.yaml')
    call(f'make_taxonomy --from yaml {folder}/x.yaml --out {folder}/out.yaml')
    assert Taxonomy.load(folder / 'out.yaml') == taxonomy, 'the copy reads as another taxonomy'


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
    call(f'make_taxonomy --from coco {folder}/x.json --out {folder}/out.yaml')
    Taxonomy.load(folder / 'out.yaml')


def _read_hierarchy(folder: Path) -> None:
    call(
        f'make_taxonomy --from openimages {folder}/hierarchy.json '
        f'--descriptions {folder}/descriptions.csv --out {folder}/out.yaml'
    )
    Taxonomy.load(folder / 'out.yaml')


# ------------------------------------------------------------------ COCO files


def _read_annotations(folder: Path) -> None:
    from mmdet_multigrain.evaluation import evaluate_levels
    from mmdet_multigrain.report.runs.inputs import TestSet, read_detections

    path, taxonomy = folder / 'x.json', _garments()
    AnnotationFile(path, taxonomy=taxonomy, allow_missing=True, allow_unknown=True)
    test_set = TestSet(path, taxonomy, lenient=False)
    assert len(test_set.digest) == 64
    assert len(test_set.file_names) <= len(test_set.annotations.dataset['images'])
    (folder / 'dets.json').write_bytes(b'[]')
    detections = read_detections(folder / 'dets.json', test_set)
    (folder / 'dets.json').unlink()
    evaluate_levels(test_set.ground_truth, detections, [taxonomy.group_index(1)])


def _read_dataset(folder: Path) -> None:
    with quiet_imports():
        from mmdet_multigrain.datasets import SuperclassCocoDataset

    logging.disable(logging.INFO)  # it logs what each file holds
    try:
        dataset = SuperclassCocoDataset(
            'x.json',
            taxonomy=_garments(),
            data_root=str(folder),
            data_prefix=dict(img='./'),
            pipeline=[],
            filter_cfg=dict(filter_empty_gt=True, min_size=1),
            serialize_data=False,  # it collects garbage, which takes most of the time
        )
        for number in range(len(dataset)):
            dataset.get_data_info(number)
    finally:
        logging.disable(logging.NOTSET)


def _check_dataset(folder: Path) -> None:
    taxonomy = f'--taxonomy {folder}/t.yaml' if (folder / 't.yaml').exists() else ''
    call(f'check_dataset {folder}/x.json --json {folder}/report.json {taxonomy}')
    json.loads((folder / 'report.json').read_bytes())


def _fix_dataset(folder: Path) -> None:
    photos = folder / 'root'
    photos.mkdir()
    for number in range(1, 9):  # there is no ninth
        (photos / f'{number}.jpg').write_bytes(_photo())
    call(
        f'check_dataset {folder}/x.json {folder}/y.json --images {photos} --workers 1 '
        f'--fix {folder}/fixed'
    )
    for split in ('train', 'val'):
        json.loads((folder / 'fixed' / f'{split}.json').read_bytes().decode())


def _read_statistics(folder: Path) -> None:
    call(f'analysis_tools/dataset_stats {folder}/x.json --taxonomy {folder}/t.yaml')


# ------------------------------------------------------------------ releases


def _convert_deepfashion2(folder: Path) -> None:
    release = folder / 'root' / 'train'
    for name in ('image', 'annos'):
        (release / name).mkdir(parents=True)
    for number in (1, 2):
        (folder / f'{number}.json').rename(release / 'annos' / f'{number}.json')
        (release / 'image' / f'{number}.jpg').write_bytes(_photo())
    call(
        f'dataset_converters/deepfashion2 {folder}/root --splits train --workers 1 '
        f'--with-segmentation --out-dir {folder}/out'
    )
    json.loads((folder / 'out' / 'train.json').read_bytes().decode())


def _convert_openimages(folder: Path) -> None:
    has_hierarchy = (folder / 'hierarchy.json').exists()
    call(
        f'dataset_converters/openimages_v4 {folder}/boxes.csv --split train '
        f'--image-sizes {folder}/sizes.csv --out {folder}/out.json --taxonomy {folder}/t.yaml '
        f'--descriptions {folder}/descriptions.csv '
        + (f'--hierarchy {folder}/hierarchy.json' if has_hierarchy else '')
    )
    json.loads((folder / 'out.json').read_bytes().decode())


# ------------------------------------------------------------------ results


def _report(*specs: object) -> None:
    """All of a report but its figures, which take a second each."""
    from mmdet_multigrain.report.runs.comparison import compare
    from mmdet_multigrain.report.runs.diagnostics import diagnose_variants
    from mmdet_multigrain.report.runs.load import load_runs
    from mmdet_multigrain.report.runs.names import shorten_variants
    from mmdet_multigrain.report.runs.render import render_files
    from mmdet_multigrain.report.runs.report import runs_document

    runs = shorten_variants(load_runs(specs))
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
    _report(folder / 'result.json')
    _report(folder / 'result.json', f'other={folder / "intact.json"}')


def _read_detections(folder: Path) -> None:
    from mmdet_multigrain.evaluation.functional.confusion import balanced_score
    from mmdet_multigrain.report.gallery.cases import find_cases
    from mmdet_multigrain.report.runs.load import load_runs

    spec = f'{folder / "dets.json"}:{folder / "val.json"}'
    (run,) = load_runs([spec])
    score = balanced_score(run.ground_truth, run.detections)
    find_cases(run.ground_truth, run.detections, run.result.taxonomy, score_thr=score)
    _report(spec)


def _read_answers(folder: Path) -> None:
    from mmdet_multigrain.evaluation.answers import AnswerRule

    rule = AnswerRule.load(folder / 'theta.json')
    rule.save(folder / 'again.json')
    assert AnswerRule.load(folder / 'again.json') == rule
    (folder / 'again.json').unlink()
    lineages = np.linspace(0, 1, 5 * rule.taxonomy.num_levels)
    with np.errstate(over='ignore'):
        probabilities = rule.probabilities(lineages)
        levels = rule.levels(lineages)
    assert np.all((probabilities >= 0) & (probabilities <= 1)), 'no probabilities'
    for level in levels.tolist():
        rule.name(0, level)


def _read_vectors(folder: Path) -> None:
    call(f'make_taxonomy --from embeddings {folder}/x.json --groups 2 --out {folder}/out.yaml')
    Taxonomy.load(folder / 'out.yaml')


# ------------------------------------------------------------------ their files


def _json(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    return damaged_bytes(damaged(strategy).map(as_json))


def _table(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    return damaged_bytes(damaged_table(strategy))


def _files(contents: Mapping[str, bytes | st.SearchStrategy[bytes]]) -> st.SearchStrategy[Files]:
    """Files by name; bytes stay as they are."""
    return st.fixed_dictionaries(
        {
            name: st.just(content) if isinstance(content, bytes) else content
            for name, content in contents.items()
        }
    )


_COCO = {'x.json': _json(documents.coco_files())}
_YAML = damaged_bytes(
    st.sampled_from([as_yaml, as_json]).flatmap(
        lambda write: damaged(documents.taxonomies()).map(write)
    )
)
_TAXONOMY = {'t.yaml': as_yaml(documents.TAXONOMY)}
_BOXES = [
    [f'000{number}', name, 0.1, 0.5, 0.2, 0.6]
    for number, name in enumerate(documents.LABEL_NAMES, 1)
]
_DESCRIPTIONS = {'descriptions.csv': as_table([*documents.LABEL_NAMES.items()])}
_OPENIMAGES = _DESCRIPTIONS | {
    'boxes.csv': as_table([['ImageID', 'LabelName', 'XMin', 'XMax', 'YMin', 'YMax'], *_BOXES]),
    'sizes.csv': b'ImageID,Width,Height\n0001,640,480\n0002,640,480\n0003,9,9\n',
    't.yaml': as_yaml(
        {'name': 'clothes', 'groups': {'top': ['Shirt'], 'bottom': ['Skirt']}, 'ungrouped': ['Hat']}
    ),
}
_ITEMS = documents.deepfashion2_items()


def _openimages(what: str, **damage: st.SearchStrategy[bytes]) -> Reader:
    """A reader of Open Images' CSV files, of which one is damaged."""
    damaged_files = {f'{name}.csv': content for name, content in damage.items()}
    if 'descriptions' in damage:
        damaged_files['hierarchy.json'] = documents.hierarchies().map(as_json)
    files = _files(_OPENIMAGES | damaged_files)
    return Reader(f'Open Images {what} (CSV)', files, _convert_openimages, ['out.json'])


READERS: dict[str, Reader] = {
    'taxonomy-yaml': Reader(
        'taxonomy (YAML), make_taxonomy --from yaml',
        _files({'x.yaml': _YAML}),
        _read_yaml,
        ['out.yaml'],
    ),
    'taxonomy-mapping': Reader(
        'taxonomy (mapping in a config)',
        _files({'x.json': damaged(documents.taxonomies()).map(as_json)}),
        _read_mapping,
        names_file=False,
    ),
    'taxonomy-coco': Reader(
        'supercategories of a COCO file, make_taxonomy --from coco',
        _files(_COCO),
        _read_supercategories,
        ['out.yaml'],
    ),
    'coco': Reader('COCO, for evaluation and report', _files(_COCO), _read_annotations),
    'coco-dataset': Reader('COCO, for training', _files(_COCO), _read_dataset),
    'check-dataset': Reader(
        'COCO, check_dataset',
        st.one_of(_files(_COCO), _files(_COCO | _TAXONOMY)),
        _check_dataset,
        ['report.json'],
    ),
    'fix-dataset': Reader(
        'COCO of two splits, check_dataset --fix',
        _files(_COCO | {'y.json': _COCO['x.json']}),
        _fix_dataset,
        ['fixed/train.json', 'fixed/val.json'],
    ),
    'dataset-stats': Reader('COCO, dataset_stats', _files(_COCO | _TAXONOMY), _read_statistics),
    'deepfashion2': Reader(
        'DeepFashion2 annotation files',
        _files({'1.json': _json(_ITEMS), '2.json': st.one_of(_json(_ITEMS), _ITEMS.map(as_json))}),
        _convert_deepfashion2,
        ['out/train.json'],
    ),
    'openimages-boxes': _openimages('boxes', boxes=_table(documents.openimages_boxes())),
    'openimages-sizes': _openimages('image sizes', sizes=_table(documents.openimages_sizes())),
    'openimages-descriptions': _openimages(
        'class descriptions', descriptions=_table(documents.descriptions())
    ),
    'openimages-hierarchy': Reader(
        'Open Images hierarchy (JSON), make_taxonomy',
        _files(_DESCRIPTIONS | {'hierarchy.json': _json(documents.hierarchies())}),
        _read_hierarchy,
        ['out.yaml'],
    ),
    'result': Reader(
        'result.json, report',
        _files(
            {
                'result.json': _json(documents.results()),
                'intact.json': documents.results().map(as_json),
            }
        ),
        _read_result,
    ),
    'detections': Reader(
        "detections (COCO's results format), report and browse",
        _files(
            {
                'dets.json': _json(documents.detections()),
                'val.json': as_json(documents.fixed_coco()),
            }
        ),
        _read_detections,
    ),
    'answers': Reader(
        'theta.json, --hedge',
        _files({'theta.json': _json(documents.answer_rules())}),
        _read_answers,
    ),
    'class-vectors': Reader(
        'a vector of each class (JSON), make_taxonomy --from embeddings',
        _files({'x.json': _json(documents.class_vectors())}),
        _read_vectors,
        ['out.yaml'],
    ),
}
