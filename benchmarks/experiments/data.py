"""The data of one run: the draw of its replicate, its labels and its groups."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.controls import one_group, random_groups
from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.files import dump_json, load_json, write_whole

from .added import BASE, as_superclass, draw_shots, of_images, set_aside, unused, without
from .coarse import coarsen, regroup_coarse
from .folds import deal
from .plan import RUNS, Experiment, Run


@dataclass(frozen=True)
class RunData:
    """Files of a run.

    Attributes:
        folder: Of train.json and val.json.
        digests: SHA-256 of both as drawn, before labels are exchanged: equal for all variants of a
            replicate.
        groups: Groups and their classes if they are not those of the data.
        coarse: What `coarsen` says of the training boxes, if some lost their fine label.
        options: --cfg-options that make a config read all this.
    """

    folder: Path
    digests: dict[str, str]
    groups: dict[str, list[str]] | None
    coarse: dict[str, Any] | None
    options: dict[str, Any]


def prepare(experiment: Experiment, run: Run, *, source: Path, folder: Path) -> RunData:
    """Draw the data of a run, or take its fold; the same files every time.

    Args:
        experiment: The experiment.
        run: The run.
        source: The data set's folder.
        folder: Where the files of this run go.

    Raises:
        ConfigError: The data set lacks a file, or its script fails.
    """
    variant = experiment.variant(run.variant)
    images = images_of(experiment, source)
    drawn = source if run.fold == 0 else folder / 'drawn'
    if run.fold:
        dealt = deal(source, images, folds=experiment.data['folds'], fold=run.fold)
        for part, content in dealt.items():
            write_whole(drawn / f'{part}.json', dump_json(content))
    elif script := experiment.data.get('draw'):
        drawn = folder / 'drawn'
        seed = BASE if variant.held_out else run.replicate
        command = [sys.executable, str(source / script), str(drawn), str(seed)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ConfigError(f'{source / script} failed: {done.stderr.strip()[-200:]}')
    digests, parts = {}, {}
    for part in ('train', 'val'):
        path = drawn / f'{part}.json'
        digests[part] = hashlib.sha256(path.read_bytes()).hexdigest()
        parts[part] = relabel(load_json(path), variant.labels)
    if half := experiment.data.get('half'):
        ids = [image['id'] for image in parts['val']['images']]
        parts['val'] = of_images(parts['val'], set(ids[half - 1 :: 2]))
    if variant.held_out:
        parts = _hold_out(experiment, run, parts, source)
    part = 'val' if variant.superclass_known else 'train'  # train has a coarse category, too
    given = Taxonomy.from_coco(parts[part], drawn / f'{part}.json')
    options = dict(data_root=str(folder), images=f'{images.resolve()}/')
    groups = coarse = taxonomy = None
    if variant.coarse:
        parts['train'], coarse = coarsen(
            parts['train'],
            given,
            share=variant.coarse,
            seed=run.replicate,
            drop=variant.drop_coarse,
        )
        taxonomy = regroup_coarse(given)
    elif variant.superclass_known:
        taxonomy = regroup_coarse(given)
    elif variant.groups == 'random':
        taxonomy = random_groups(given, seed=run.replicate)
        groups = taxonomy.to_dict()['groups']
    elif variant.groups.endswith('.yaml'):
        taxonomy = Taxonomy.load(RUNS.with_name(variant.groups))
        groups = taxonomy.to_dict()['groups']
    elif variant.groups == 'one':  # only a head accepts it
        groups = one_group(given).to_dict()['groups']
        head = 'model.roi_head.bbox_head'
        options[f'{head}.allow_one_group'] = True
        options |= {f'{head}.taxonomy.groups.{name}': names for name, names in groups.items()}
    for part, content in parts.items():
        write_whole(folder / f'{part}.json', dump_json(content))
    if taxonomy is not None:
        path = folder / 'groups.yaml'
        write_whole(path, taxonomy.to_yaml().encode())
        options['taxonomy'] = str(path)
    return RunData(folder, digests, groups, coarse, options)


def images_of(experiment: Experiment, source: Path) -> Path:
    """The folder of the images in that of the data set.

    Raises:
        ConfigError: It does not exist.
    """
    images = source / experiment.data['images']
    if not images.is_dir():
        raise ConfigError(
            f'{images}: no such folder; name the data set of {experiment.name}: --data'
        )
    return images


def _hold_out(
    experiment: Experiment, run: Run, parts: dict[str, Any], source: Path
) -> dict[str, Any]:
    """Both files before the held-out class; or the boxes that it is added from, and all of val."""
    variant = experiment.variant(run.variant)
    train, val, share = parts['train'], parts['val'], experiment.data.get('aside')
    if share:
        train, pool = set_aside(train, share)
    else:
        pool = unused(load_json(source / 'train.json'), train, val)
    if variant.shots:
        shots = draw_shots(pool, variant.held_out, boxes=variant.shots, seed=run.replicate)
        return dict(train=shots, val=val)
    val = without(val, variant.held_out)
    if variant.superclass_known:
        return dict(train=as_superclass(train, variant.held_out), val=val)
    return dict(train=without(train, variant.held_out), val=val)


def relabel(coco: dict[str, Any], labels: str) -> dict[str, Any]:
    """A COCO file whose boxes bear other labels (`plan.LABELS`)."""
    if labels == 'classes':
        return coco
    name_of = {
        item['id']: 'object' if labels == 'object' else item['supercategory']
        for item in coco['categories']
    }
    ids = {name: number for number, name in enumerate(dict.fromkeys(name_of.values()), start=1)}
    return dict(
        images=coco['images'],
        categories=[dict(id=number, name=name) for name, number in ids.items()],
        annotations=[
            item | dict(category_id=ids[name_of[item['category_id']]])
            for item in coco['annotations']
        ],
    )
