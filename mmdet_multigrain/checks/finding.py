"""Checks (code, severity, fix, how to find it) and findings: how often, and where."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from .data import CocoData
from .photos import Photo

# A mask of rows, or items in the order in which they are shown, as a rule rows of one table.
Search: TypeAlias = Callable[[CocoData], np.ndarray | Sequence[Any]]
Describe: TypeAlias = Callable[[CocoData, Any], str]
ERROR, WARNING, NOTE = SEVERITIES = ('error', 'warning', 'note')


@dataclass(eq=False)
class Check:
    """One thing that can be wrong; decorates its search where that is not an argument."""

    severity: str  # `error`: training or evaluation fails or is wrong. `warning`: perhaps
    code: str  # stable name for scripts
    title: str  # what is found, in the plural
    fix: str  # what to do, in one phrase
    search: Search | None = None  # without one, its subject's `check` finds the items
    describe: Describe = lambda data, item: item  # one line about an item that was found
    fixable: bool = False  # a repaired copy is without it
    varies: Callable[[CocoData], dict[str, Any]] = lambda data: {}  # fields that a file changes

    def __call__(self, search: Search) -> Check:
        """The check with its search."""
        self.search = search
        return self

    def find(self, data: CocoData) -> Sequence[Any]:
        """What is wrong in a file: rows or other items."""
        found = self.search(data)
        is_mask = isinstance(found, np.ndarray) and found.dtype == bool
        return np.flatnonzero(found) if is_mask else found


class Checks(list[Check]):
    """The checks of one subject, in the order in which they run; each is added where it is defined.

    `describe` is how items are described, by default.
    """

    def __init__(self, describe: Describe = Check.describe) -> None:
        super().__init__()
        self._describe = describe

    def _add(self, severity: str, *texts: Any, describe: Describe | None = None, **more) -> Check:
        self.append(Check(severity, *texts, describe=describe or self._describe, **more))
        return self[-1]

    error = functools.partialmethod(_add, ERROR)
    fixable_error = functools.partialmethod(_add, ERROR, fixable=True)
    warning = functools.partialmethod(_add, WARNING)
    fixable_warning = functools.partialmethod(_add, WARNING, fixable=True)
    note = functools.partialmethod(_add, NOTE)

    def run(self, data: CocoData) -> Iterator[Finding]:
        """The findings of the checks that search by themselves."""
        for check in self:
            if check.search is not None:
                yield from found(check, data, check.find(data))


@dataclass(frozen=True)
class Finding:
    """What a check found in one file, or between the two."""

    check: Check  # what was checked
    split: str  # `train`, `val`, or nothing when it concerns both or there is one file only
    count: int  # how often
    examples: tuple[str, ...]  # the first few; each one line with ids and file names


def found(
    check: Check, data: CocoData, items: Sequence[Any], *, split: str | None = None, **changes: Any
) -> Iterator[Finding]:
    """One finding about the items that were found in a file, or none without any.

    `split` is by default that of the file; `changes` are fields of the check that differ here.
    """
    if len(items):
        changes |= check.varies(data)
        check = dataclasses.replace(check, **changes) if changes else check
        examples = tuple(check.describe(data, item) for item in items[: data.max_examples])
        yield Finding(check, data.split if split is None else split, len(items), examples)


def rows_where(table: str, test: Callable[[dict[str, Any]], bool]) -> Search:
    """Rows of `images`, `annotations` or `categories` that pass a test."""
    return lambda data: [row for row, entry in enumerate(getattr(data, table)) if test(entry)]


def photos_where(test: Callable[[Photo], bool]) -> Search:
    """Rows of the images whose photo was looked for and passes a test."""
    return lambda data: [row for row, photo in data.known_photos() if test(photo)]
