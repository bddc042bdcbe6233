"""Read a checkpoint, and say what of it fits a model; callers decide when a misfit is an error."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import mmengine.model
from mmdet.registry import WEIGHT_INITIALIZERS
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from mmdet_multigrain.evaluation.training_record import group_difference
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import CheckpointError, UntrustedCheckpointError

from .weights_only import only_weights, refused


@contextlib.contextmanager
def loading(path: str) -> Iterator[None]:
    """Load as weights only, and name the file, whatever goes wrong while it is loaded."""
    try:
        with only_weights():
            yield
    except (CheckpointError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 (broken bytes raise anything, KeyError: 101 too)
        if asked_for := refused(error):
            raise UntrustedCheckpointError(
                f'{path}: holds more than weights ({asked_for}), and loading it could run any '
                'code; use another file'
            ) from None
        lines = str(error).splitlines() or ['']
        reason = ': '.join(filter(None, (type(error).__name__, lines[0].split('. ')[0])))
        what, fix = 'not a whole checkpoint', 'copy it again or take another'
        if '://' in str(path):
            what = 'cannot be loaded'
            fix = 'download it where there is a network and name the file instead'
        raise CheckpointError(f'{path}: {what} ({reason}); {fix}') from error


def read_checkpoint(path: str) -> dict[str, Any]:
    """Read a checkpoint to the CPU, from a file or URL; no code that it holds is run.

    Raises:
        CheckpointError: It cannot be read, would run code (unless `trust_checkpoints` lets it),
            or is not a mapping.
    """
    with loading(path), contextlib.redirect_stdout(io.StringIO()):
        checkpoint = CheckpointLoader.load_checkpoint(str(path), 'cpu', logger='silent')
    check_mapping(path, checkpoint)
    return checkpoint


@WEIGHT_INITIALIZERS.register_module(name='Pretrained')
class PretrainedInit(mmengine.model.PretrainedInit):
    """MMEngine's, which mmdet's registry now finds here: no code in the file is run."""

    def __call__(self, module: nn.Module) -> None:
        """Give the module its weights."""
        with loading(self.checkpoint):
            super().__call__(module)


def check_mapping(path: str, checkpoint: object) -> None:
    """Refuse a file that holds anything else than a mapping of tensors, or of parts."""
    if not isinstance(checkpoint, Mapping):
        raise CheckpointError(f'{path}: holds a {type(checkpoint).__name__}, not a checkpoint')


def state_dict_of(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors of a checkpoint, itself a mapping of tensors or one that holds it."""
    return checkpoint.get('state_dict', checkpoint)


def trained_on(checkpoint: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a checkpoint says of its training data (`classes`, ...); empty if it says nothing."""
    return (checkpoint.get('meta') or {}).get('dataset_meta') or {}


@dataclass(frozen=True)
class Fit:
    """What a checkpoint gives to a model; tensors by the model's names."""

    loaded: tuple[str, ...]  # tensors that the checkpoint gives
    new: tuple[str, ...]  # tensors of the model that it does not give
    skipped: tuple[str, ...]  # tensors of the checkpoint that the model lacks or has otherwise
    problem: str | None  # the first tensor that is missing or of other shape, in words


def keep_what_fits(model: nn.Module, checkpoint: Mapping[str, Any]) -> Fit:
    """Remove from a loaded checkpoint the tensors that a bare model cannot take, in place."""
    own, given = model.state_dict(), state_dict_of(checkpoint)
    names = {key: key.removeprefix('module.') for key in given}
    skipped = [
        key for key, name in names.items() if name not in own or own[name].shape != given[key].shape
    ]
    problem = None
    key = next((key for key in skipped if names[key] in own), None)
    if key is not None:
        problem = (
            f'{names[key]} has shape {tuple(given[key].shape)} in the checkpoint but '
            f'{tuple(own[names[key]].shape)} in the model'
        )
    for key in skipped:
        del given[key]
    loaded = {names[key] for key in given}
    new = [name for name in own if name not in loaded]
    if new and problem is None:
        problem = f'{new[0]} is not in the checkpoint'
    classes = trained_on(checkpoint).get('classes')
    if problem is not None and classes is not None:
        first = ', '.join(map(str, [*classes][:3])) + ', ...' * (len(classes) > 3)
        problem += f' (trained on {len(classes)} classes: {first})'
    return Fit(
        loaded=tuple(name for name in own if name in loaded),
        new=tuple(new),
        skipped=tuple(names[key] for key in skipped),
        problem=problem,
    )


def other_classes(trained_on: Mapping[str, Any], metainfo: Mapping[str, Any]) -> str | None:
    """The first label that means another class in a data set than in training, in words.

    The aliases of the data set's taxonomy count as the class.
    """
    taxonomy = metainfo.get('taxonomy')
    taxonomy = None if taxonomy is None else Taxonomy.load(taxonomy)
    pairs = zip(trained_on.get('classes') or (), metainfo['classes'], strict=False)
    for label, (there, here) in enumerate(pairs):
        if there != here and (taxonomy is None or taxonomy.find(there) != label):
            return f'label {label} is {there!r} in the checkpoint but {here!r} in the data'
    return None


def other_groups(trained_on: Mapping[str, Any], metainfo: Mapping[str, Any]) -> str | None:
    """The first class that a data set groups otherwise than the training data did, in words.

    Names of groups do not count: a head knows groups by number. The classes are the same.
    """
    if 'taxonomy' not in trained_on or 'taxonomy' not in metainfo:
        return None
    taxonomies = (Taxonomy.load(data['taxonomy']) for data in (trained_on, metainfo))
    return group_difference(*taxonomies, places='{there} in the checkpoint but {here} in the data')


def misfit(path: object, purpose: str, problem: str) -> CheckpointError:
    """The error of a checkpoint that must fit and does not; `purpose` is a verb."""
    fix = 'use the config that the checkpoint was trained with'
    if '.class_counts is not' in problem:  # of NorCal
        fix = 'add them with tools/analysis_tools/sweep_scores.py --out-checkpoint'
    return CheckpointError(f'{path}: cannot {purpose} with this config: {problem}; {fix}')
