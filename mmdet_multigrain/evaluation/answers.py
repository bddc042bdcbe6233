"""theta.json: when a detector answers with a class, a group or only "object", as calibrated.

`tools/calibrate.py` writes it; whatever shows answers reads it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.names import OBJECT
from mmdet_multigrain.utils.errors import EvaluationError
from mmdet_multigrain.utils.files import load_written_json
from mmdet_multigrain.utils.messages import show

from .functional.calibrators import CALIBRATORS, Calibrator
from .functional.risk_control import ALWAYS_LEAF, answer_levels
from .result_file import write_json

VERSION = 1
MAX_BYTES = 64 << 20
_AGAIN = 'write it again with tools/calibrate.py'
_KINDS = {
    'accuracy': (int, float),
    'theta': (int, float),
    'reason': (str,),
    'calibrator': (dict,),
    'taxonomy': (dict,),
    'checkpoint': (dict,),
    'score_thr': (int, float),
    'photos': (dict,),
    'promise': (str,),
    'seen': (dict,),
}


@dataclass(frozen=True)
class AnswerRule:
    """Which node of its lineage each detection is answered with.

    Lineages are (N, L) probabilities given foreground: the class first, then its groups, the
    coarsest last. Level 0 of an answer is the class, L is "object".

    Raises:
        EvaluationError: `theta` or another number is out of range; not one calibrator for each level.
    """

    # the answer is the finest node with a probability above it, strictly. From -1 (always the
    # class) to 1 (always "object"); None: always "object", for `reason`.
    theta: float | None
    taxonomy: Taxonomy  # classes and groups of the lineages; of several trees, the main one alone
    # one for each level, the class first. Default: probabilities stay as they are.
    calibrators: Sequence[Calibrator] = ()
    accuracy: float | None = None  # share of right answers that is promised
    reason: str | None = None  # why there is no threshold
    # what the scores come from: `name`, `digest` and `fusion`, as `scoring_of` says
    checkpoint: Mapping[str, Any] | None = None
    score_thr: float | None = None  # the promise is for detections that score at least this
    # how many photos it comes from, and how they were grouped
    photos: Mapping[str, Any] | None = None
    promise: str | None = None  # what is promised, in words
    seen: Mapping[str, Any] | None = None  # what other photos have shown
    source: str = field(default='AnswerRule', compare=False)  # the file, for messages

    def __post_init__(self) -> None:
        object.__setattr__(self, 'taxonomy', self.taxonomy.hierarchy)
        for name, low in (('theta', ALWAYS_LEAF), ('accuracy', 0), ('score_thr', 0)):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and low <= value <= 1):
                raise EvaluationError(f'{name} is {show(value)}, not from {low:g} to 1')
        if len(self.calibrators) not in (0, self.taxonomy.num_levels):
            raise EvaluationError(
                f'{len(self.calibrators)} calibrators for {self.taxonomy.num_levels} levels of '
                f'taxonomy {show(self.taxonomy.name)}'
            )

    def probabilities(self, lineage: np.ndarray) -> np.ndarray:
        """Calibrated probabilities (N, L), float64; they never fall on the way up."""
        lineage = np.asarray(lineage, float).reshape(-1, self.taxonomy.num_levels)
        if self.calibrators:
            columns = zip(self.calibrators, lineage.T, strict=True)
            lineage = np.stack([calibrate(column) for calibrate, column in columns], axis=1)
        return np.maximum.accumulate(lineage, axis=1)

    def levels(self, lineage: np.ndarray) -> np.ndarray:
        """(N,) level of each answer, from 0 for the class to L for "object"."""
        probabilities = self.probabilities(lineage)
        if self.theta is None:
            return np.full(len(probabilities), self.taxonomy.num_levels)
        return answer_levels(probabilities, self.theta)

    def name(self, label: int, level: int) -> str:
        """Name of the node that a level of a lineage is, given the label of the class."""
        coarseness = self.taxonomy.num_levels - 1 - level
        return OBJECT if coarseness < 0 else self.taxonomy.superclass_of(label, coarseness)

    def check(self, taxonomy: Taxonomy, checkpoint: Mapping[str, Any] | None = None) -> None:
        """Refuse scores of another origin than those that the rule was calibrated with.

        They are told by the taxonomy of the detector, and by what `scoring_of` its checkpoint says,
        if known.

        Raises:
            EvaluationError: They differ.
        """
        if _groups(taxonomy.hierarchy) != _groups(self.taxonomy):
            own = [t for t in taxonomy.trees if _groups(taxonomy.tree(t)) == _groups(self.taxonomy)]
            fix = f'set main_tree={show(own[0])}, or ' if own else ''
            raise EvaluationError(
                f'{self.source}: has other classes or groups (taxonomy '
                f'{show(self.taxonomy.name)}) than the detector ({show(taxonomy.hierarchy.name)}); '
                f'{fix}calibrate this detector with tools/calibrate.py'
            )
        if not checkpoint or not self.checkpoint:
            return
        for key, what, shown in (
            ('digest', 'of other weights', 'name'),
            ('fusion', 'with other scores', 'fusion'),
        ):
            if self.checkpoint.get(key) != checkpoint.get(key):
                there, here = (show(one.get(shown)) for one in (self.checkpoint, checkpoint))
                raise EvaluationError(
                    f'{self.source}: calibrated {what} ({key} differs: {there} there, {here} '
                    'here); calibrate this detector with tools/calibrate.py'
                )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file atomically."""
        kinds = {kind: name for name, kind in CALIBRATORS.items()}
        names = {kinds[type(one)] for one in self.calibrators} or {'none'}
        content = {key: getattr(self, key, None) for key in _KINDS}
        content['calibrator'] = {
            'type': names.pop(),
            'levels': [asdict(one) for one in self.calibrators],
        }
        write_json(path, {'version': VERSION, **content, 'taxonomy': self.taxonomy.to_dict()})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> AnswerRule:
        """Read the file that `save` wrote.

        Raises:
            EvaluationError: One line, if it cannot be read or is not such a file.
        """
        content = load_written_json(path, error=EvaluationError, fix=_AGAIN, max_bytes=MAX_BYTES)
        if not isinstance(content, dict) or not {'version', 'theta', 'taxonomy'} <= content.keys():
            raise EvaluationError(f'{path}: not a file that tools/calibrate.py writes')
        if content['version'] != VERSION:
            raise EvaluationError(
                f'{path}: of version {show(content["version"])}, this is {VERSION}; {_AGAIN}'
            )
        try:
            return cls(**_parse(content), source=str(path))
        except ValueError as error:
            raise EvaluationError(f'{path}: {error}; {_AGAIN}') from None


def _parse(content: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an `AnswerRule` from the content of its file."""
    if unknown := content.keys() - _KINDS.keys() - {'version'}:
        raise EvaluationError(f'unknown entry {show(min(unknown))}')
    values = {key: content.get(key) for key in _KINDS}
    for key, value in values.items():
        if type(value) not in _KINDS[key] and (value is not None or key == 'taxonomy'):
            raise EvaluationError(f'{key} is {show(value)}')
    if values['theta'] is None and not values['reason']:
        raise EvaluationError('theta is null without a reason')
    calibrator = values.pop('calibrator') or {'type': 'none', 'levels': []}
    values['taxonomy'] = Taxonomy.from_mapping(values['taxonomy'], 'taxonomy', allow_one_group=True)
    return {**values, 'calibrators': _calibrators(calibrator)}


def _calibrators(content: Mapping[str, Any]) -> tuple[Calibrator, ...]:
    kind, levels = content.get('type'), content.get('levels')
    if kind not in (*CALIBRATORS, 'none') or not isinstance(levels, list):
        raise EvaluationError(f'calibrator is {show(content)}')
    if kind == 'none':
        return ()
    try:
        return tuple(CALIBRATORS[kind](**level) for level in levels)
    except (EvaluationError, TypeError) as error:
        raise EvaluationError(f'calibrator cannot be used ({error})') from None


def _groups(taxonomy: Taxonomy) -> list[tuple[tuple[str, ...], tuple[int, ...]]]:
    """Names and members of the groups of each level, the classes included."""
    levels = range(taxonomy.num_levels)
    return [(taxonomy.group_names(level), taxonomy.group_index(level)) for level in levels]
