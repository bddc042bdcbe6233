"""Photos that a folder has under another spelling of their `file_name`."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterator
from urllib.parse import unquote

_URL = re.compile(r'[a-zA-Z][\w+.-]+://')
_ESCAPE = re.compile(r'%[0-9A-Fa-f]{2}')
_SPELLINGS = (  # what tools write differently, in the order in which they undo it
    ("'\\' for '/'", lambda name: name.replace('\\', '/')),
    ('%-escapes', unquote),
    ('Unicode form', lambda name: unicodedata.normalize('NFC', name)),
    ('case', str.casefold),
    ('spaces at its ends', str.strip),
)


def is_doubtful(name: str) -> bool:
    """Whether a name looks like a URL, has escapes, or parts folders by a backslash."""
    return bool(_URL.match(name) or _ESCAPE.search(name) or '\\' in name)


def find_files(
    names: Collection[str], folder: str | os.PathLike[str], *, taken: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """The files in a folder that absent photos may be, by name; names without any are left out.

    A file is meant if its path equals the end of the name, spelling aside: all of it, as a rule. A
    single one is the photo; several files, or a file that two names claim, are a guess. Photos
    that exist are taken.
    """
    files = defaultdict(list)
    for path in _files(folder):
        files[_plain(path)].append(path)
    taken, found, claims = set(taken), {}, defaultdict(set)
    for name in names:
        parts = _plain(_without_query(name)).split('/')
        ends = ('/'.join(parts[start:]) for start in range(len(parts)))
        hits = next((files[end] for end in ends if end in files), ())
        if hits := tuple(path for path in hits if path not in taken):
            found[name] = hits
            for path in hits:
                claims[path].add(name)
    return {
        name: paths if len(claims[paths[0]]) == 1 else paths * 2 if len(paths) == 1 else paths
        for name, paths in found.items()
    }


def difference(name: str, path: str) -> str:
    """In what a name and the file's path differ, in words."""
    words, path_parts = [], path.split('/')
    parts = _without_query(name).replace('\\', '/').split('/')
    if '\\' in name:
        words.append("'\\' for '/'")
    name = '/'.join(parts[-len(path_parts) :])
    for word, undo in _SPELLINGS[1:]:
        if name == path:
            break
        new = undo(name), undo(path)
        if new[0] == new[1] or (new[0] != name) != (new[1] != path):
            words.append(word)
        name, path = new
    return ', '.join([*words, *(['folder'] if len(parts) > len(path_parts) else [])])


def _without_query(name: str) -> str:
    return _URL.sub('', name).split('?')[0] if _URL.match(name) else name


def _plain(name: str) -> str:
    for _, undo in _SPELLINGS:
        name = undo(name)
    return name


def _files(folder: str | os.PathLike[str]) -> Iterator[str]:
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = os.path.relpath(os.path.join(place, name), folder)
            yield path.replace(os.sep, '/')
