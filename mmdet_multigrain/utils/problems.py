"""Problems with data, counted by kind, with examples, as converters and checks report them."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from .messages import printable

EXAMPLES = 3  # of each kind of problem, by default


@dataclass
class Problems:
    """A count and the first few examples for each kind of problem, by kind."""

    counts: Counter[str] = field(default_factory=Counter)  # in the order in which they were met
    # each one line
    examples: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    max_examples: int = EXAMPLES  # of a kind

    def add(self, kind: str, example: str) -> None:
        """Count one more; what cannot be printed is escaped."""
        self.counts[kind] += 1
        if len(self.examples[kind]) < self.max_examples:
            self.examples[kind].append(printable(example))

    def update(self, other: Problems) -> None:
        """Add what another one counted after this one."""
        for kind, count in other.counts.items():
            self.counts[kind] += count
            room = self.max_examples - len(self.examples[kind])
            self.examples[kind] += other.examples[kind][: max(room, 0)]

    def first(self) -> str:
        """The first kind and example as the end of a message, or nothing."""
        return next(
            (f'; first problem: {kind}: {examples[0]}' for kind, examples in self.examples.items()),
            '',
        )

    def __str__(self) -> str:
        return '\n'.join(
            f'  {count:,} x {kind}: {"; ".join(self.examples[kind])}'
            + ('; ...' if count > len(self.examples[kind]) else '')
            for kind, count in self.counts.items()
        )
