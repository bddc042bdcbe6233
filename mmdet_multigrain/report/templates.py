"""Renders the HTML templates of the reports; every value is escaped.

Templates include styles and scripts from `pages/`, so that a page needs no other file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

import jinja2


def render_template(
    package: str, name: str, filters: Mapping[str, Callable] | None = None, **values: Any
) -> str:
    """The page of a template in the folder `templates` of a package."""
    pages = resources.files(__package__) / 'pages'
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (pages / name).read_text('utf-8')),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(filters or {})
    source = (resources.files(package) / 'templates' / name).read_text('utf-8')
    return environment.from_string(source).render(**values)
