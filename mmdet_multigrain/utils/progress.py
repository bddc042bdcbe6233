"""Progress bars of work that takes a while."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm


def progress_bar(items: Iterable[Any] | None = None, *, show: bool, **options: Any) -> tqdm:
    """A bar of tqdm that is redrawn once a second at most; hidden without `show`."""
    from tqdm import tqdm  # not at the top: processes that only read sizes start sooner

    return tqdm(items, mininterval=1, disable=not show, **options)
