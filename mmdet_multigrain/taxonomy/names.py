"""Names of classes and groups: when two are the same, and which are no names at all."""

from __future__ import annotations

import re
import unicodedata

from mmdet_multigrain.utils.errors import TaxonomyError
from mmdet_multigrain.utils.messages import show

_SEPARATORS = re.compile(r'[\s_-]+')
MAX_LETTERS = 1000  # of a name; only damaged files have longer ones, of any length
# Control characters, lone surrogates, line and paragraph separators: a table row, a file and
# an error message could not hold such a name on one line.
_UNPRINTABLE = {'Cc', 'Cs', 'Zl', 'Zp'}


def normalize(name: str) -> str:
    """Reduce a name to what identifies it: case, `_`, `-` and runs of blanks do not count.

    >>> normalize('Short_sleeve  Top') == normalize('short-sleeve top')
    True
    """
    if len(name) > MAX_LETTERS:
        return name  # which `check_name` refuses; it may take minutes
    text = unicodedata.normalize('NFKC', unicodedata.normalize('NFKC', name).casefold())
    return _SEPARATORS.sub(' ', text).strip() or name.strip()


def check_name(name: object, what: str) -> str:
    """Return `name` if it can name a class or a group, else raise.

    Args:
        name: What a file or a caller gave.
        what: What it is, for the message, such as `"a class in group 'top'"`.
    """
    if name is None:
        name = ''
    if not isinstance(name, str):
        raise TaxonomyError(
            f'{what} is {show(name)}, not text; quote it if it is a name (YAML reads a bare no, '
            'on or 3 as something else)'
        )
    if not name.strip():
        raise TaxonomyError(f'{what} is empty; name it or remove it')
    if len(name) > MAX_LETTERS:
        raise TaxonomyError(
            f'{what}, {show(name)}, has {len(name):,} letters; '
            f'{MAX_LETTERS:,} are enough for a name'
        )
    if any(unicodedata.category(character) in _UNPRINTABLE for character in name):
        raise TaxonomyError(
            f'{what}, {show(name)}, holds a line break or a control character; remove it'
        )
    return name
