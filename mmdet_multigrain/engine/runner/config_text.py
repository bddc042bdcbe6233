"""The text of a config whose keys are names of classes and groups."""

from __future__ import annotations

import keyword
import unicodedata
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config


class WritableConfig(Config):
    """A config whose `pretty_text` reads as the same config, whatever strings its keys are.

    MMEngine writes keys bare: `women's tops` ends its string, and `class` is no argument.
    """

    @property
    def pretty_text(self) -> str:
        """The text that `dump`, logs and checkpoints have."""
        return Config(_escape_keys(self.to_dict())).pretty_text


def as_writable(cfg: Config) -> None:
    """Make a config a `WritableConfig`, in place; its copies are, too."""
    object.__setattr__(cfg, '__class__', WritableConfig)


def _escape_keys(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_escaped(key): _escape_keys(item) for key, item in value.items()}
    return type(value)(map(_escape_keys, value)) if isinstance(value, list | tuple) else value


def _escaped(key: Any) -> Any:
    """The key as it stands between apostrophes in Python."""
    if not isinstance(key, str):
        return key
    # Python has keywords, and normalizes identifiers; an escaped letter makes it a quoted key.
    if keyword.iskeyword(key) or key.isidentifier() and unicodedata.normalize('NFKC', key) != key:
        return f'\\U{ord(key[0]):08x}{key[1:]}'
    return key.replace('\\', '\\\\').replace("'", "\\'")
