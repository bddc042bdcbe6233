"""What a check finds: its kind (code, severity, mend), how often, and where.

The kinds themselves stand in the modules of their subjects, beside the functions that find them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .data import CocoData

ERROR, WARNING, NOTE = SEVERITIES = ('error', 'warning', 'note')


@dataclass(frozen=True)
class Kind:
    """A kind of finding.

    Attributes:
        code: Stable name for scripts.
        severity: `error`: training or evaluation fails or is wrong. `warning`: perhaps.
        title: What is found, in the plural.
        mend: What to do, in one phrase.
        fixable: A repaired copy is without it.
    """

    code: str
    severity: str
    title: str
    mend: str
    fixable: bool = False


@dataclass(frozen=True)
class Finding:
    """A kind of finding in one file, or between the two.

    Attributes:
        kind: What it is.
        split: `train`, `val`, or nothing when it concerns both or there is one file only.
        count: How often.
        examples: The first few; each one line with ids and file names.
    """

    kind: Kind
    split: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Check:
    """A check of one file: finds rows of one of its tables and describes a row.

    Attributes:
        kind: What the rows are.
        find: The row numbers, in the order in which they are shown.
        describe: One line about a row.
    """

    kind: Kind
    find: Callable[[CocoData], Sequence[int]]
    describe: Callable[[CocoData, int], str]


def found(
    kind: Kind, data: CocoData, rows: Sequence[int], describe: Callable[[CocoData, int], str]
) -> Iterator[Finding]:
    """One finding, or none if there are no rows."""
    if len(rows):
        examples = tuple(describe(data, int(row)) for row in rows[: data.max_examples])
        yield Finding(kind, data.split, len(rows), examples)


def run(checks: Iterable[Check], data: CocoData) -> Iterator[Finding]:
    """The findings of checks, in their order."""
    for check in checks:
        yield from found(check.kind, data, check.find(data), check.describe)
