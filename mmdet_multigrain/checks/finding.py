"""A check (code, severity, fix, how to find it) and a finding: how often, and where."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from .data import CocoData
    from .photos import Photo

Find: TypeAlias = 'Callable[[CocoData], Sequence[Any]]'
ERROR, WARNING, NOTE = SEVERITIES = ('error', 'warning', 'note')


@dataclass(frozen=True)
class Check:
    """One thing that can be wrong; as a decorator, it takes the function that finds it."""

    code: str  # stable name for scripts
    severity: str  # `error`: training or evaluation fails or is wrong. `warning`: perhaps
    title: str  # what is found, in the plural
    fix: str  # what to do, in one phrase
    fixable: bool = False  # a repaired copy is without it
    # one line about an item that was found; default: the item is that line
    describe: Callable[[CocoData, Any], str] = lambda data, item: item
    # the items in the order in which they are shown, as a rule row numbers of one table; None
    # if the subject's `check` finds them
    find: Find | None = None

    def __call__(self, find: Find) -> Check:
        """This check with the function that it decorates."""
        return dataclasses.replace(self, find=find)


@dataclass(frozen=True)
class Finding:
    """What a check found in one file, or between the two."""

    check: Check  # what was checked
    split: str  # `train`, `val`, or nothing when it concerns both or there is one file only
    count: int  # how often
    examples: tuple[str, ...]  # the first few; each one line with ids and file names


def found(
    check: Check,
    data: CocoData,
    items: Sequence[Any],
    describe: Callable[[CocoData, Any], str] | None = None,
    *,
    split: str | None = None,
) -> Iterator[Finding]:
    """One finding, or none if there are no items.

    Args:
        check: What found them.
        data: The file they are in.
        items: What was found.
        describe: One line about an item; default: as the check says.
        split: Default: that of the file.
    """
    if len(items):
        describe = describe or check.describe
        examples = tuple(describe(data, item) for item in items[: data.max_examples])
        yield Finding(check, data.split if split is None else split, len(items), examples)


def rows_where(table: str, test: Callable[[dict[str, Any]], bool]) -> Find:
    """A check's `find`: rows of `images`, `annotations` or `categories` that pass a test."""
    return lambda data: [row for row, entry in enumerate(getattr(data, table)) if test(entry)]


def photos_where(test: Callable[[Photo], bool]) -> Find:
    """A check's `find`: rows of the images whose photo was looked for and passes a test."""
    return lambda data: [row for row, photo in data.known_photos() if test(photo)]


def run(checks: Iterable[Check], data: CocoData) -> Iterator[Finding]:
    """The findings of checks, in their order."""
    for check in checks:
        yield from found(check, data, check.find(data))
