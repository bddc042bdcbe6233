"""Parts of messages: values quoted in short, lists of names, "did you mean"."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable

_SHOWN = 5  # names of a list in a message
_COMPARED = 200  # letters of a name


def show(value: object) -> str:
    """Quote a value for a message: one line, and short however long the value is."""
    short = reprlib.Repr()
    # Few items and levels: a list that holds itself, or by anchors a billion items, is no name.
    short.maxlevel, short.maxlist, short.maxtuple, short.maxdict = 2, 4, 4, 4
    short.maxstring = short.maxother = short.maxlong = 60
    try:
        return short.repr(value)
    except ValueError:  # an integer too long to print
        return f'a very long {type(value).__name__}'


def printable(text: str) -> str:
    """The text on one line: line breaks, control characters and undecodable bytes escaped."""
    if text.isprintable():
        return text
    return ''.join(
        character if character.isprintable() else character.encode('unicode_escape').decode()
        for character in text
    )


def one_line(text: object) -> str:
    """A short message without line breaks."""
    return ' '.join(str(text).split())[:200]


def show_list(values: Iterable[object]) -> str:
    """Quote the first few values, and say how many more there are."""
    values = list(values)
    shown = ', '.join(show(value) for value in values[:_SHOWN])
    return shown if len(values) <= _SHOWN else f'{shown} and {len(values) - _SHOWN} more'


def closest(name: object, known: Iterable[str]) -> str | None:
    """The known name most similar to `name` (ignoring case), or None if none is close."""
    by_key = {candidate.casefold(): candidate for candidate in known}
    # Cut, because difflib's memory is a multiple of a name that may be as long as a file.
    key = (name if isinstance(name, str) else show(name))[:_COMPARED].casefold()
    matches = difflib.get_close_matches(key, by_key, n=1)
    return by_key[matches[0]] if matches else None


def did_you_mean(names: object, known: Iterable[str], otherwise: str = '') -> str:
    """The end of a message: `; did you mean 'x'?`, or `; <otherwise>` when nothing is near.

    Of a list of unknown names, the first with a near known one counts.
    """
    names, known = names if isinstance(names, list) else [names], list(known)
    for name in names[:_SHOWN]:
        match = closest(name, known)
        if match is not None:
            return f'; did you mean {show(match)}{f" by {show(name)}" if len(names) > 1 else ""}?'
    return f'; {otherwise}' if otherwise else ''
