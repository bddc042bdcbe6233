"""What goes wrong with files: a valid value is damaged in its structure, its text, its bytes.

Which documents there are belongs in `documents`.
"""

from __future__ import annotations

import codecs
import copy
import gzip
import json
from collections.abc import Callable, Iterator
from typing import Any

import yaml
from hypothesis import strategies as st

# What JSON writers do not write; they stand for it until the text is there.
_TWICE = '@@twice@@'  # behind a key: the key without it, again
_FRAGMENTS = {
    '@@deep@@': '[' * 300 + ']' * 300,
    '@@deeper@@': '{"a":' * 3000 + '1' + '}' * 3000,
    '@@abyss@@': '[' * 10_000 + ']' * 10_000,
    '@@huge@@': '9' * 5000,
    '@@exponent@@': '1e999',
    '@@bare@@': 'bare',
    '@@comment@@': '1 /* one */',
}
_ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 1.0, 0.5, -0.0, 1e-320, 1e9, 1e308, -1e308, 2**31, 2**53 + 1,
    2**63, -(2**63) - 1, 2**64, 10**30, 10**400, float('nan'), float('inf'), float('-inf'),
    '', ' ', 'none', 'None', 'NaN', '1', '1.5', '-', '_', 'a\nb', 'a\r\n', '\t', '\0', '\x1b[31m',
    '\x85', '\u2028', '\ud800', '\udcff', '\ufeff', '\u202e', 'ſ', 'ß', 'İ', 'é', '日本語', '👕',
    '../../x', '/etc/passwd', 'C:\\x', '<b>&amp;', '{{ 1 }}', '%s %n {0}', "'; --", '=1+1',
    'x' * 300, 'x' * 100_000, [], {}, [[]], [{}], [None], {'': None}, {'a': []}, [0, 0, 0, 0],
    [1, 2, 3], ['a', 'a'], *_FRAGMENTS)  # fmt: skip
_FEW = st.sampled_from([0, 1, 1, 2, 3])
odd_values = st.one_of(
    st.sampled_from(_ODD_VALUES),
    st.text(max_size=6),
    st.integers(),
    st.floats(),
)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of everything in a nested value, outermost first."""
    queue = [value]
    for container in queue:
        keys = range(len(container)) if isinstance(container, list) else list(container)
        for key in keys:
            yield container, key
            if isinstance(container[key], (dict, list)):
                queue.append(container[key])


@st.composite
def damaged(draw: Callable[[Any], Any], documents: st.SearchStrategy[Any]) -> Any:
    """A document that is whole, or with up to three things removed, doubled, swapped, replaced."""
    document = {'': copy.deepcopy(draw(documents))}
    for _ in range(draw(_FEW)):
        places = [*_places(document)]
        container, key = places[draw(st.integers(0, len(places) - 1))]
        damage = draw(st.sampled_from(_DAMAGES))
        damage(draw, container, key, places)
        document.setdefault('', None)
    return document['']


def _replace(draw, container, key, places) -> None:
    container[key] = copy.deepcopy(draw(odd_values))


def _remove(draw, container, key, places) -> None:
    del container[key]


def _double(draw, container, key, places) -> None:
    if isinstance(container, list):
        container.insert(key, copy.deepcopy(container[key]))
    elif key and isinstance(key, str):
        container[key + _TWICE] = draw(st.sampled_from([container[key], None]))


def _copy_here(draw, container, key, places) -> None:
    other, place = places[draw(st.integers(0, len(places) - 1))]
    container[key] = copy.deepcopy(other[place])


def _rename(draw, container, key, places) -> None:
    if isinstance(container, dict) and key:
        container[draw(st.sampled_from(['', 'x', key.upper(), f' {key}', '\ud800', '\0']))] = (
            container.pop(key)
        )


def _wrap(draw, container, key, places) -> None:
    container[key] = draw(st.sampled_from([[container[key]], {'x': container[key]}]))


def _as_text(draw, container, key, places) -> None:
    container[key] = str(container[key])[:1000]


def _change_number(draw, container, key, places) -> None:
    value = container[key]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        container[key] = draw(
            st.sampled_from([-value, value + 1, value + 0.5, float(value)])
            if abs(value) < 1e300
            else st.just(0)
        )
    else:
        _replace(draw, container, key, places)


_DAMAGES = (
    _replace,
    _replace,
    _remove,
    _double,
    _copy_here,
    _rename,
    _wrap,
    _as_text,
    _change_number,
)


def as_json(value: Any) -> bytes:
    """JSON as broken writers leave it: NaN, keys twice, half surrogates, fragments of any kind."""
    return _with_fragments(json.dumps(value, ensure_ascii=False))


def as_yaml(value: Any) -> bytes:
    """YAML in blocks, with the same."""
    return _with_fragments(yaml.safe_dump(value, allow_unicode=True, sort_keys=False))


def _with_fragments(text: str) -> bytes:
    for name, fragment in _FRAGMENTS.items():
        text = text.replace(f'"{name}"', fragment).replace(f"'{name}'", fragment)
        text = text.replace(name, '')
    return text.replace(_TWICE, '').encode('utf-8', 'surrogatepass')


@st.composite
def damaged_bytes(draw: Callable[[Any], Any], contents: st.SearchStrategy[bytes]) -> bytes:
    """A file's content, mostly as it is, else cut, flipped, of another encoding, ..."""
    content = draw(contents)
    if draw(st.integers(0, 3)):
        return content
    return draw(st.sampled_from(_BYTE_DAMAGES))(draw, content)


def _place(draw, content: bytes) -> int:
    return draw(st.integers(0, len(content)))


def _cut(draw, content: bytes) -> bytes:
    return content[: _place(draw, content)]


def _flip(draw, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        if changed:
            changed[draw(st.integers(0, len(changed) - 1))] = draw(st.integers(0, 255))
    return bytes(changed)


def _insert(draw, content: bytes) -> bytes:
    place = _place(draw, content)
    piece = draw(
        st.sampled_from(
            [
                b'\0',
                b'\xff',
                b'\xed\xa0\x80',
                b'"',
                b'{',
                b']',
                b',',
                b'\n',
                b'\r',
                b'&a ',
                b'*a',
                b'<<: *a\n',
                b'---\n',
                b'\t',
                b'#',
                b'!!python/name:os.system ',
                b'\xc2\x85',
                b'\x1a',
                codecs.BOM_UTF8,
                b'\\ud800',
                b'1e400',
                b'NaN',
            ]
        )
        | st.binary(max_size=4)
    )
    return content[:place] + piece + content[place:]


def _repeat(draw, content: bytes) -> bytes:
    start, stop = sorted((_place(draw, content), _place(draw, content)))
    return content[:stop] + content[start:stop] * draw(st.integers(1, 3)) + content[stop:]


def _without(draw, content: bytes) -> bytes:
    start, stop = sorted((_place(draw, content), _place(draw, content)))
    return content[:start] + content[stop:]


def _encode(draw, content: bytes) -> bytes:
    text = content.decode('utf-8', 'replace')
    name = draw(
        st.sampled_from(
            [
                'utf-8-sig',
                'utf-16',
                'utf-16-be',
                'utf-32',
                'latin-1',
                'cp1252',
                'shift-jis',
                'utf-7',
                'cp037',
            ]
        )
    )
    return text.encode(name, 'replace')


def _line_ends(draw, content: bytes) -> bytes:
    return content.replace(b'\n', draw(st.sampled_from([b'\r\n', b'\r', b'\n\n', b'', b'\0'])))


def _compress(draw, content: bytes) -> bytes:
    packed = gzip.compress(content, mtime=0)
    return draw(
        st.sampled_from([packed, packed[: len(packed) // 2], packed + b'x', packed + packed])
    )


def _other_file(draw, content: bytes) -> bytes:
    return draw(
        st.sampled_from(
            [
                b'',
                b'\n',
                b'null',
                b'[]',
                b'{}',
                b'""',
                b'0',
                b'\x89PNG\r\n',
                b'\xff\xd8\xff\xe0',
                b'\x1f\x8b',
                codecs.BOM_UTF8,
                b'\0' * 4096,
                b'[' * 10_000,
                b'{"a":' * 10_000,
                b'x' * 300_000,
            ]
        )
    )


_BYTE_DAMAGES = (
    _cut,
    _cut,
    _flip,
    _flip,
    _insert,
    _insert,
    _repeat,
    _without,
    _encode,
    _line_ends,
    _compress,
    _other_file,
)


@st.composite
def damaged_table(draw: Callable[[Any], Any], tables: st.SearchStrategy[list[list[str]]]) -> bytes:
    """A CSV file whose cells, rows and columns may be wrong."""
    rows = [list(map(str, row)) for row in draw(tables)]
    for _ in range(draw(_FEW)):
        row = draw(st.sampled_from(rows))
        cell = draw(st.integers(0, len(row) - 1)) if row else 0
        match draw(
            st.sampled_from(
                [
                    'replace',
                    'replace',
                    'remove',
                    'double',
                    'quote',
                    'row',
                    'again',
                    'wide',
                    'column',
                ]
            )
        ):
            case 'replace' if row:
                row[cell] = str(draw(odd_values))[:5000]
            case 'remove' if row:
                del row[cell]
            case 'double' if row:
                row.insert(cell, row[cell])
            case 'quote' if row:
                row[cell] = draw(st.sampled_from(['"{}"', '"{}', '{}"', '"{},"', '""{}'])).format(
                    row[cell]
                )
            case 'row' if len(rows) > 1:
                rows.remove(row)
            case 'again':
                rows.append(list(row))
            case 'wide':
                row += [''] * draw(st.sampled_from([1, 2, 2000]))
            case 'column':
                place = draw(st.integers(0, len(rows[0])))
                for one in rows:
                    one.insert(place, draw(st.sampled_from(['', 'x', 'ImageID'])))
    text = '\n'.join(map(','.join, rows)) + draw(st.sampled_from(['\n', '', '\n\n']))
    return text.encode('utf-8', 'surrogatepass')
