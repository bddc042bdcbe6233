"""Names of classes and groups: which are equal, and which are valid."""

from __future__ import annotations

import re
import unicodedata

from mmdet_multigrain.utils.errors import TaxonomyError
from mmdet_multigrain.utils.messages import show

_SEPARATORS = re.compile(r'[\s_-]+')
OBJECT = 'object'  # the name that data files give to boxes of which nothing else is known
MAX_LETTERS = 1000  # only damaged files have longer names
# Control characters, lone surrogates, line and paragraph separators: such a name does not fit on
# one line of a table, a file or a message.
_UNPRINTABLE = {'Cc', 'Cs', 'Zl', 'Zp'}


def normalize(name: str) -> str:
    """Reduce a name to what identifies it: case, `_`, `-` and runs of spaces do not count.

    >>> normalize('Short_sleeve  Top') == normalize('short-sleeve top')
    True
    """
    if len(name) > MAX_LETTERS:
        return name  # `check_name` rejects it; normalizing could take minutes
    text = unicodedata.normalize('NFKC', unicodedata.normalize('NFKC', name).casefold())
    return _SEPARATORS.sub(' ', text).strip() or name.strip()


def check_name(name: object, what: str) -> str:
    """Return `name` if it is a valid name of a class or a group, otherwise raise.

    Args:
        name: A value from a file or a caller.
        what: What it names, for the message, such as `"a class in group 'top'"`.
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
        fix = f'{MAX_LETTERS:,} are enough for a name'
        raise TaxonomyError(f'{what}, {show(name)}, has {len(name):,} letters; {fix}')
    if any(unicodedata.category(character) in _UNPRINTABLE for character in name):
        raise TaxonomyError(
            f'{what}, {show(name)}, holds a line break or a control character; remove it'
        )
    return name
