"""Complete a config with what is known only when a run is built: paths, classes, length.

MMEngine evaluates a base config before its child, so a base cannot compute anything from what the
child sets. Source configs hold None (or `taxonomy='auto'`) wherever a value follows from a key at
the top level, and `resolve` fills it in. Values that a config sets explicitly stay.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.dataset import ClassBalancedDataset, ConcatDataset

from mmdet_multigrain.datasets.transforms import use_fast_loading
from mmdet_multigrain.models import MultiGrainedBBoxHead, NodeHead
from mmdet_multigrain.models.bbox_heads.multi_branch_bbox_head import (
    MultiBranchBBoxHead,
    resolve_taxonomy,
)
from mmdet_multigrain.models.losses.hierarchical_cross_entropy_loss import check_groups
from mmdet_multigrain.speed import merge_options
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import ConfigError, MultigrainError, TaxonomyError
from mmdet_multigrain.utils.nested import dicts, is_kind

from .compositions import merge_compositions
from .run_length import LENGTH_KEYS, reset_schedule, resolve_length, schedule_of
from .test_level import set_level

AUTO = 'auto'
# Environment variable and default of each key that is None; the default None is another key's.
_DATA_KEYS = {
    'data_root': ('MULTIGRAIN_DATA', 'data/custom'),
    'train_ann': ('MULTIGRAIN_TRAIN_ANN', 'train.json'),
    'val_ann': ('MULTIGRAIN_VAL_ANN', 'val.json'),
    'test_ann': ('MULTIGRAIN_TEST_ANN', None),
    'images': ('MULTIGRAIN_IMAGES', 'photos/'),
    'val_images': ('MULTIGRAIN_VAL_IMAGES', None),
}
_SAME_AS = {'test_ann': 'val_ann', 'val_images': 'images', 'eval_taxonomy': 'taxonomy'}
# The entries that each key fills in: a place, and the entry of each dict there.
TABLE = {
    'data_root': (
        ('train_dataloader', 'data_root'),
        ('val_dataloader', 'data_root'),
        ('test_dataloader', 'data_root'),
    ),
    'train_ann': (
        ('train_dataloader', 'ann_file'),
        ('val_evaluator', 'train_ann_file'),
        ('test_evaluator', 'train_ann_file'),
    ),
    'val_ann': (('val_dataloader', 'ann_file'), ('val_evaluator', 'ann_file')),
    'test_ann': (('test_dataloader', 'ann_file'), ('test_evaluator', 'ann_file')),
    'images': (('train_dataloader', 'data_prefix.img'),),
    'val_images': (('val_dataloader', 'data_prefix.img'), ('test_dataloader', 'data_prefix.img')),
    'taxonomy': (('train_dataloader', 'taxonomy'), ('heads', 'taxonomy'), ('model', 'num_classes')),
    'eval_taxonomy': (('val_dataloader', 'taxonomy'), ('test_dataloader', 'taxonomy')),
    'empty_photos': (('train_dataloader', 'filter_cfg.filter_empty_gt'),),
    'train_pipeline': (('train_dataloader', 'pipeline'),),
    'test_pipeline': (('val_dataloader', 'pipeline'), ('test_dataloader', 'pipeline')),
}
KEYS = (*TABLE, *LENGTH_KEYS, 'main_tree', 'test_level')


def resolve(cfg: Config, *, checkpoint_meta: Mapping[str, Any] | None = None) -> set[str]:
    """Complete a config in place.

    A second call changes nothing, unless a key or the environment says something else: what the
    first call filled in follows the keys. `cfg.resolved` keeps what that needs.

    Args:
        cfg: The config of a run.
        checkpoint_meta: The `meta` of the checkpoint that the run tests or predicts with. Its
            taxonomy is the default, and a length in epochs stays open.

    Returns:
        The keys that at least one entry takes its value from.

    Raises:
        ConfigError: An entry cannot be used; the message is one line.
        TaxonomyError: The taxonomy, or the training file that is to give it, cannot be read.
    """
    merge_compositions(cfg)
    merge_options(cfg, cfg.pop('speed', None) or ())
    _reset(cfg)
    keys = _resolve_keys(cfg, checkpoint_meta)
    used = set()
    for key, owner, entry, value in _targets(cfg, keys):
        if owner.get(entry) is None or (entry == 'taxonomy' and owner[entry] == AUTO):
            owner[entry] = copy.deepcopy(value)
        if owner.get(entry) == value:
            used.add(key)
    if cfg.get('test_level') is not None:
        set_level(cfg, cfg.test_level, _dicts_at(cfg, 'test_dataloader'))
    if checkpoint_meta is None:
        _check_groups(cfg)
        _check_repeats(cfg)
    use_fast_loading(cfg)
    schedule = schedule_of(cfg)
    resolve_length(cfg, from_data=checkpoint_meta is None)
    # Pipelines are filled in once: too long to keep a copy.
    own = {key: value for key, value in keys.items() if not key.endswith('_pipeline')}
    if own or cfg.get('max_iters') is not None:
        cfg.resolved = dict(keys=own, max_iters=cfg.get('max_iters'), schedule=schedule)
    return used


def _check_groups(cfg: Config) -> None:
    """Refuse a grouped head on a taxonomy without groups before anything is set up."""
    for head in _dicts_at(cfg, 'heads'):
        if head.get('taxonomy') is not None and is_kind(head, MODELS, MultiGrainedBBoxHead):
            one_group = head.get('allow_one_group', False)
            taxonomy = resolve_taxonomy(_plain(head['taxonomy']), allow_one_group=one_group)
            if head.get('grouped', True):
                check_groups(taxonomy)


def _check_repeats(cfg: Config) -> None:
    """Refuse a data set that MMEngine could not count the classes of."""
    for part in dicts(cfg.get('train_dataloader')):
        repeats = is_kind(part, DATASETS, ClassBalancedDataset)
        if repeats and is_kind(part.get('dataset'), DATASETS, ConcatDataset):
            raise ConfigError(
                'train_dataloader: a ClassBalancedDataset (repeat) cannot ask a ConcatDataset for the '
                'classes of its images; put one around each of its datasets, or take class_aware'
            )


def is_taxonomy_open(cfg: Config) -> bool:
    """Whether the taxonomy of a config is still to be found: in a checkpoint or in the data."""
    return 'taxonomy' in cfg and cfg.taxonomy in (None, AUTO)


def _reset(cfg: Config) -> None:
    """Open what an earlier call filled in, so that it follows the keys of today."""
    before = cfg.get('resolved')
    if before is None:
        return
    for _, owner, entry, value in _targets(cfg, before['keys']):
        if owner.get(entry) == value:
            owner[entry] = None
    for key, other in _SAME_AS.items():
        if key in cfg and cfg[key] == before['keys'].get(key) == before['keys'].get(other):
            cfg[key] = None
    reset_schedule(cfg, before['schedule'], max_iters=before['max_iters'])


def _resolve_keys(cfg: Config, checkpoint_meta: Mapping[str, Any] | None) -> dict[str, Any]:
    """Complete the keys at the top level; returns those that the config has."""
    for key, (variable, default) in _DATA_KEYS.items():
        if key in cfg and cfg[key] is None:
            cfg[key] = os.environ.get(variable) or default or cfg.get(_SAME_AS.get(key))
        if key in cfg and cfg[key] is not None:
            cfg[key] = str(cfg[key])
    if cfg.get('data_root'):
        cfg.data_root = os.path.join(cfg.data_root, '')
    if 'taxonomy' in cfg:
        taxonomy, main = _find_taxonomy(cfg, checkpoint_meta), cfg.get('main_tree')
        taxonomy = taxonomy if main is None else taxonomy.with_main_tree(main)
        own = cfg.get('eval_taxonomy')
        evaluated = taxonomy if own is None else Taxonomy.load(_plain(own))
        evaluated = evaluated.with_main_tree(main) if main in evaluated.trees else evaluated
        cfg.taxonomy, cfg.eval_taxonomy = taxonomy.to_dict(), evaluated.to_dict()
    elif cfg.get('main_tree') is not None:
        raise ConfigError(
            f'main_tree={cfg.main_tree!r}: the config has no key taxonomy; set main_tree in the '
            'taxonomy of its heads and data sets'
        )
    if cfg.get('empty_photos', 'keep') not in ('keep', 'drop'):
        raise ConfigError(f"empty_photos is {cfg.empty_photos!r}, not 'keep' or 'drop'")
    return {key: cfg[key] for key in TABLE if key in cfg}


def _find_taxonomy(cfg: Config, checkpoint_meta: Mapping[str, Any] | None) -> Taxonomy:
    if not is_taxonomy_open(cfg):
        return Taxonomy.load(_plain(cfg.taxonomy))
    recorded = (checkpoint_meta or {}).get('dataset_meta') or {}
    if 'taxonomy' in recorded:
        return Taxonomy.load(recorded['taxonomy'])
    if 'classes' in recorded:
        return Taxonomy('checkpoint', recorded['classes'])
    if variable := os.environ.get('MULTIGRAIN_TAXONOMY'):
        return Taxonomy.load(variable)
    if cfg.get('train_ann') is None:
        raise ConfigError(
            "taxonomy='auto' needs train_ann, the file that gives the supercategories"
        )
    try:
        return Taxonomy.from_coco(os.path.join(cfg.get('data_root') or '', cfg.train_ann))
    except MultigrainError as error:
        hint = (
            'data_root and train_ann (or MULTIGRAIN_DATA and MULTIGRAIN_TRAIN_ANN) say where the '
            'data is'
        )
        raise TaxonomyError(str(error).replace('check the path', hint)) from None


def _targets(cfg: Config, keys: Mapping[str, Any]) -> Iterator[tuple[str, Any, str, Any]]:
    """Key, owner (a dict), entry and value for what the table names and the config has."""
    for key, places in TABLE.items():
        if keys.get(key) is None:
            continue
        for place, entry in places:
            value = _value(keys, key, place=place, entry=entry)
            for owner in _dicts_at(cfg, place):
                *path, name = entry.split('.')
                for step in path:
                    owner = owner.get(step) or {}
                # Our heads need a taxonomy, and source configs do not mention it.
                if name in owner or place == 'heads':
                    yield key, owner, name, value


def _value(keys: Mapping[str, Any], key: str, *, place: str, entry: str) -> Any:
    value = keys[key]
    if entry == 'num_classes':
        return Taxonomy.load(_plain(value)).num_classes
    if key == 'empty_photos':
        return value == 'drop'
    if place.endswith('evaluator'):  # it knows no data_root
        return os.path.join(keys.get('data_root') or '', value)
    return value


def _plain(value: Any) -> Any:
    return value.to_dict() if hasattr(value, 'to_dict') else value


def _dicts_at(cfg: Config, place: str) -> Iterator[MutableMapping[str, Any]]:
    """The dicts of a place: leaf data sets, evaluators, our heads, or all parts of the model."""
    if place.endswith('dataloader'):
        yield from leaf_datasets((cfg.get(place) or {}).get('dataset'))
        return
    for part in dicts(cfg.get('model' if place == 'heads' else place)):
        is_ours = is_kind(part, MODELS, MultiBranchBBoxHead, NodeHead)
        if place.endswith('evaluator') or (place == 'heads') == is_ours:
            yield part


def leaf_datasets(dataset: Any) -> Iterator[MutableMapping[str, Any]]:
    """The configs of data sets below wrappers such as ClassBalancedDataset and ConcatDataset."""
    if isinstance(dataset, list | tuple):
        for part in dataset:
            yield from leaf_datasets(part)
    elif isinstance(dataset, MutableMapping):
        inner = dataset.get('dataset') or dataset.get('datasets')
        yield from leaf_datasets(inner) if inner else (dataset,)
