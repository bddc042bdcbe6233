"""The wording of the report on runs, from `data/texts.yaml`, and blocks made with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources
from typing import Any

import yaml

from mmdet_multigrain.utils.table import Table
from mmdet_multigrain.visualization import style

from .document import Block, FigureBlock, Section, TableBlock


@cache
def _texts() -> dict[str, Any]:
    path = resources.files(__package__) / 'data' / 'texts.yaml'
    return yaml.safe_load(path.read_text(encoding='utf-8'))


def text(key: str, **values: Any) -> str:
    """A sentence with these values filled in."""
    return _texts()[key].format(**values)


def items(key: str, **values: Any) -> list[tuple[str, str]]:
    """A list of leads and texts with these values filled in."""
    return [
        (lead.format(**values), content.format(**values)) for lead, content in _texts()[key].items()
    ]


def section(name: str, blocks: Sequence[Block], *, title: str | None = None) -> Section:
    """A section with its title, that of another one if named."""
    return Section(name, text(title or name), blocks)


def table_block(
    name: str, table: Table, data: Table | None = None, *, file: str | None = None, **values: Any
) -> TableBlock:
    """A table with its title and note, into which the values are filled.

    `name` is the key of these texts, and of the files unless `file` is. CSV has the `data`, if any.
    """
    return TableBlock(file or name, *_title_and_note('tables', name, values), table, data)


def figure_block(
    name: str, draw: Callable[..., None], *arguments: Any, file: str | None = None, **values: Any
) -> FigureBlock:
    """A drawn figure with its title and note; see `table_block` and `style.render`."""
    title, note = _title_and_note('figures', name, values)
    return FigureBlock(file or name, title, note, style.render(draw, *arguments))


def _title_and_note(kind: str, name: str, values: dict[str, Any]) -> list[str]:
    texts = _texts()[kind][name]
    return [texts[part].format(**values).strip() for part in ('title', 'note')]
