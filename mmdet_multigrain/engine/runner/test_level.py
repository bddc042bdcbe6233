"""What a test does along the taxonomy of its data: the key `test_level`, and lineages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Any

from mmdet.registry import DATASETS, MODELS

from mmdet_multigrain.models import NodeHead
from mmdet_multigrain.models.bbox_heads.group_prediction import GROUP_SCORES, GroupPrediction
from mmdet_multigrain.models.roi_heads.lineage import add_lineage
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.levels import at_level
from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.nested import dicts, is_kind, kind_of


def set_level(
    cfg: MutableMapping[str, Any], level: int | str, datasets: Iterator[Mapping[str, Any]]
) -> None:
    """Let the model of a config detect the groups of a level, and its metrics evaluate them.

    `level` is as in `at_level`; the first of `datasets`, configs of test data, has the taxonomy.

    Raises:
        ConfigError: The data set has no taxonomy, or the model predicts masks of classes.
        TaxonomyError: There is no such level.
    """
    taxonomy = _taxonomy_of(datasets, f'level {level!r}')
    score = set_groups(cfg['model'], at_level(taxonomy, level).index)
    for place in ('val_evaluator', 'test_evaluator'):
        for metric in dicts(cfg.get(place)):
            if metric.get('type') == 'MultiGrainedCocoMetric':
                metric.update(level=level, group_score=score)


def set_lineages(cfg: MutableMapping[str, Any], datasets: Iterator[Mapping[str, Any]]) -> None:
    """Let the model of a config tell the lineage of each detection (`LineageRoIHeadMixin`).

    The first of `datasets`, configs of test data, has the taxonomy.

    Raises:
        ConfigError: The config detects groups, the data set has no taxonomy, or the model has no
            RoI head that can do it.
    """
    if cfg.get('test_level') is not None:
        raise ConfigError(
            'lineages start from classes, and --level (test_level) detects groups; leave one out'
        )
    add_lineage(cfg['model'], _taxonomy_of(datasets, 'lineages'))


def _taxonomy_of(datasets: Iterator[Mapping[str, Any]], what: str) -> Taxonomy:
    dataset = next(datasets, {})
    kind = kind_of(dataset, DATASETS)
    own = dataset.get('taxonomy') or getattr(kind, 'METAINFO', {}).get('taxonomy')
    if own is None:
        raise ConfigError(f'{what}: the test data set has no taxonomy; use SuperclassCocoDataset')
    return Taxonomy.load(own.to_dict() if hasattr(own, 'to_dict') else own)


def set_groups(model: MutableMapping[str, Any], groups: Sequence[int]) -> str | None:
    """Let the head in the config of a model detect groups, `groups` being that of each class.

    Returns:
        How the score of a group comes from those of its classes ('sum' or 'max'), or 'own' if it
        has an output of its own; None if the model cannot do it, and goes on detecting classes.

    Raises:
        ConfigError: It predicts a mask for each class.
    """
    for part in dicts(model):
        if is_kind(part.get('bbox_head'), MODELS, NodeHead):
            part.setdefault('test_cfg', {})['groups'] = list(groups)
            return 'own'
        roi_head, test_cfg = part.get('roi_head'), (part.get('test_cfg') or {}).get('rcnn')
        if not roi_head or not test_cfg:
            continue
        for mask in dicts(roi_head.get('mask_head')):
            if 'num_classes' in mask and not mask.get('class_agnostic'):
                raise ConfigError(
                    'model.roi_head.mask_head predicts a mask for each class, not for groups; '
                    'test the classes (without a level)'
                )
        heads = roi_head['bbox_head']
        heads = heads if isinstance(heads, list | tuple) else [heads]
        if all(is_kind(head, MODELS, GroupPrediction) for head in heads):
            test_cfg['groups'] = list(groups)
            return test_cfg.setdefault('group_score', GROUP_SCORES[0])
    return None
