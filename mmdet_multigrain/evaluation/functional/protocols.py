"""The names of the protocols, which stand next to every number, and what they mean.

All of them ask the same question at some level of the taxonomy: `GroundTruth.relabel` says what a
box is there, by the classes that its label allows.
"""

from __future__ import annotations

LEAF, SUPERCLASS, GROUP, EXPANDED = 'leaf', 'superclass', 'group', 'expanded'
MEANING = {
    LEAF: 'by class; a box of which only the superclass is known is a crowd of its classes',
    SUPERCLASS: 'boxes and detections relabeled by superclass, nothing suppressed',
    GROUP: 'one answer for each group and object, suppressed inside the group',
    EXPANDED: 'mean over classes (leaf) and superclasses',
}


def meaning(protocol: str) -> str:
    """What a protocol does, for a name like `group (coarse, sum)`."""
    return MEANING[protocol.partition(' ')[0]]


def group_protocol(level: str, score: str | None) -> str:
    """Name of the protocol *group* at a level.

    `score` says how the detector made the score of a group from those of its classes: 'sum' or
    'max'; 'own' if the group has an output of its own. None: it detects classes, and the maximum of
    its detections is taken.
    """
    scores = {'sum': 'sum', 'max': 'maximum', 'own': 'own output', None: 'maximum of detections'}
    return f'{GROUP} ({level}, {scores[score]})'
