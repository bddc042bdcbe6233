"""Damage to valid files: in their structure, their text or their bytes.

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

Draw = Callable[[st.SearchStrategy], Any]

# What JSON writers do not write: placeholders until the text exists.
_TWICE = '@@twice@@'  # after a key: the key without it, a second time
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
    st.sampled_from(_ODD_VALUES), st.text(max_size=6), st.integers(), st.floats()
)

# Kinds of damage; those named twice are twice as likely.
_DAMAGES = st.sampled_from('replace replace remove double copy rename wrap text number'.split())
_CELL_DAMAGES = st.sampled_from('replace replace remove double quote row again wide column'.split())
_BYTE_DAMAGES = st.sampled_from(
    'cut cut flip flip insert insert repeat without encode ends compress other'.split()
)
_INSERTS = st.sampled_from((
    b'\0', b'\xff', b'\xed\xa0\x80', b'"', b'{', b']', b',', b'\n', b'\r', b'&a ', b'*a',
    b'<<: *a\n', b'---\n', b'\t', b'#', b'!!python/name:os.system ', b'\xc2\x85', b'\x1a',
    codecs.BOM_UTF8, b'\\ud800', b'1e400', b'NaN')) | st.binary(max_size=4)  # fmt: skip
_ENCODINGS = st.sampled_from(
    'utf-8-sig utf-16 utf-16-be utf-32 latin-1 cp1252 shift-jis utf-7 cp037'.split()
)
_LINE_ENDS = st.sampled_from([b'\r\n', b'\r', b'\n\n', b'', b'\0'])
_OTHER_FILES = st.sampled_from((
    b'', b'\n', b'null', b'[]', b'{}', b'""', b'0', b'\x89PNG\r\n', b'\xff\xd8\xff\xe0',
    b'\x1f\x8b', codecs.BOM_UTF8, b'\0' * 4096, b'[' * 10_000, b'{"a":' * 10_000,
    b'x' * 300_000))  # fmt: skip


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of everything in a nested value, outermost first."""
    queue = [value]
    for container in queue:
        keys = range(len(container)) if isinstance(container, list) else list(container)
        for key in keys:
            yield container, key
            if isinstance(container[key], dict | list):
                queue.append(container[key])


@st.composite
def damaged(draw: Draw, documents: st.SearchStrategy[Any]) -> Any:
    """A document that is intact, or has up to three things removed, doubled, swapped, replaced."""
    document = {'': copy.deepcopy(draw(documents))}
    for _ in range(draw(_FEW)):
        places = [*_places(document)]
        container, key = places[draw(st.integers(0, len(places) - 1))]
        other, place = places[draw(st.integers(0, len(places) - 1))]
        _damage(draw, container, key, other[place])
        document.setdefault('', None)
    return document['']


def _damage(draw: Draw, container: Any, key: Any, other: Any) -> None:
    value = container[key]
    match draw(_DAMAGES):
        case 'remove':
            del container[key]
        case 'double' if isinstance(container, list):
            container.insert(key, copy.deepcopy(value))
        case 'double' if isinstance(key, str) and key:
            container[key + _TWICE] = draw(st.sampled_from([value, None]))
        case 'copy':
            container[key] = copy.deepcopy(other)
        case 'rename' if isinstance(container, dict) and key:
            names = ['', 'x', key.upper(), f' {key}', '\ud800', '\0']
            container[draw(st.sampled_from(names))] = container.pop(key)
        case 'wrap':
            container[key] = draw(st.sampled_from([[value], {'x': value}]))
        case 'text':
            container[key] = str(value)[:1000]
        case 'number' if isinstance(value, int | float) and not isinstance(value, bool):
            near = [-value, value + 1, value + 0.5, float(value)] if abs(value) < 1e300 else [0]
            container[key] = draw(st.sampled_from(near))
        case 'replace' | 'number':
            container[key] = copy.deepcopy(draw(odd_values))


def as_json(value: Any) -> bytes:
    """JSON as broken writers leave it: NaN, keys twice, half surrogates, fragments of any kind."""
    return _with_fragments(json.dumps(value, ensure_ascii=False))


def as_yaml(value: Any) -> bytes:
    """YAML in blocks, with the same."""
    return _with_fragments(yaml.safe_dump(value, allow_unicode=True, sort_keys=False))


def as_table(rows: list[Any]) -> bytes:
    """A CSV file of rows."""
    return ''.join(','.join(map(str, row)) + '\n' for row in rows).encode()


def _with_fragments(text: str) -> bytes:
    for name, fragment in _FRAGMENTS.items():
        text = text.replace(f'"{name}"', fragment).replace(f"'{name}'", fragment)
        text = text.replace(name, '')
    return text.replace(_TWICE, '').encode('utf-8', 'surrogatepass')


@st.composite
def damaged_bytes(draw: Draw, contents: st.SearchStrategy[bytes]) -> bytes:
    """A file's content, mostly as it is, else cut, flipped, in another encoding, ..."""
    content = draw(contents)
    if draw(st.integers(0, 3)):
        return content
    start, stop = sorted(draw(st.integers(0, len(content))) for _ in range(2))
    match draw(_BYTE_DAMAGES):
        case 'cut':
            return content[:start]
        case 'flip':
            changed = bytearray(content)
            for _ in range(draw(st.integers(1, 4)) if content else 0):
                changed[draw(st.integers(0, len(changed) - 1))] = draw(st.integers(0, 255))
            return bytes(changed)
        case 'insert':
            return content[:start] + draw(_INSERTS) + content[start:]
        case 'repeat':
            return content[:stop] + content[start:stop] * draw(st.integers(1, 3)) + content[stop:]
        case 'without':
            return content[:start] + content[stop:]
        case 'encode':
            return content.decode('utf-8', 'replace').encode(draw(_ENCODINGS), 'replace')
        case 'ends':
            return content.replace(b'\n', draw(_LINE_ENDS))
        case 'compress':
            packed = gzip.compress(content, mtime=0)
            broken = [packed, packed[: len(packed) // 2], packed + b'x', packed + packed]
            return draw(st.sampled_from(broken))
        case _:
            return draw(_OTHER_FILES)


@st.composite
def damaged_table(draw: Draw, tables: st.SearchStrategy[list[list[str]]]) -> bytes:
    """A CSV file whose cells, rows and columns may be wrong."""
    rows = [list(map(str, row)) for row in draw(tables)]
    for _ in range(draw(_FEW)):
        row = draw(st.sampled_from(rows))
        cell = draw(st.integers(0, len(row) - 1)) if row else 0
        match draw(_CELL_DAMAGES):
            case 'replace' if row:
                row[cell] = str(draw(odd_values))[:5000]
            case 'remove' if row:
                del row[cell]
            case 'double' if row:
                row.insert(cell, row[cell])
            case 'quote' if row:
                quotes = st.sampled_from(['"{}"', '"{}', '{}"', '"{},"', '""{}'])
                row[cell] = draw(quotes).format(row[cell])
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
